import { expect, test } from "vitest";
import { z } from "zod";
import { RequestFailedError } from "../../../src/ground/errors.ts";
import { within } from "../../connection/harness.ts";
import { failure } from "../../containers/harness.ts";
import { Stage } from "./stage.ts";

const stage = new Stage();

test("App.request – a result that its publisher refuses is a failure, and no reply", async () => {
  const app = stage.app({ retry: { maxDeliveries: 1 } });
  const publishTo = app.publisher(`${stage.key}:payments`, { schema: z.object({ paid: z.number() }) });
  app.subscriber(stage.key, { group: "g", publishTo }, () => ({ payed: 7 }));
  await using _ = await app.test();
  const { remote } = await within(5000, failure(app.request(1, { stream: stage.key }), RequestFailedError));
  expect(remote.name).toBe("InvalidArgumentError");
});

test("App.request – a result goes to its stream before it goes to who asked", async () => {
  const app = stage.app();
  app.subscriber(stage.key, { group: "g", publishTo: `${stage.key}:payments` }, () => ({ paid: 7 }));
  await using _ = await app.test();
  expect((await within(5000, app.request(1, { stream: stage.key }))).data).toEqual({ paid: 7 });
  expect(await stage.watch.redis.xlen(`${stage.key}:payments`)).toBe(1);
});
