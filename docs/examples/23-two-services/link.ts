// What a service tells the driver, by the channel that Node gives to a forked process.
import type { SpanFacts } from "./tracing.ts";

export type News =
  | { readonly type: "charging" | "paid"; readonly order: number }
  | { readonly type: "ordered"; readonly orders: number }
  | { readonly type: "span"; readonly span: SpanFacts }
  | { readonly type: "log"; readonly text: string };

export function tell(news: News): void {
  if (process.connected) process.send!(news);
}

/** A service does not outlive the driver, also where that was killed. */
export function endWithDriver(app: { stop(): Promise<void> }): void {
  const end = () => void app.stop();
  if (process.connected) process.once("disconnect", end);
  else end();
}

/** An app's logger: what is worth a warning goes to the driver. */
export const log = {
  debug(): void {},
  info(): void {},
  warn(facts: object, text: string): void {
    tell({ type: "log", text: `${text} ${(facts as { error?: Error }).error ?? ""}` });
  },
  error(facts: object, text: string): void {
    log.warn(facts, text);
  },
};
