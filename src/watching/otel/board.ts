import type { Attributes, BatchObservableResult, Meter, Observable } from "@opentelemetry/api";
import type { Figure } from "./figures.ts";

/** Something that counts. */
interface Counting<M> {
  metrics(): M;
}

/** One member of a row: held weakly, with what it counted when it was last looked at. */
interface Member<M> {
  readonly counting: WeakRef<Counting<M>>;
  last: readonly (number | null)[];
}

/** All that report under the same attributes. */
interface Row<M> {
  readonly attributes: Attributes;
  readonly members: Set<Member<M>>;
  /** What those counted that are gone, by figure: a counter never falls. */
  readonly gone: number[];
}

/**
 * The counts of all workers, or all producers, that are reported to one meter.
 *
 * They are added up where their attributes are the same, since an SDK takes two observations of one series for a counter that
 * fell. Nothing is held that nobody else holds.
 */
export class Board<M> {
  static readonly #boards = new WeakMap<Meter, Map<readonly Figure<never>[], Board<never>>>();

  readonly #meter: Meter;
  readonly #figures: readonly Figure<M>[];
  readonly #rows = new Map<string, Row<M>>();
  readonly #observe = (result: BatchObservableResult): void => this.#report(result);
  #instruments: Observable[] | null = null;

  private constructor(meter: Meter, figures: readonly Figure<M>[]) {
    this.#meter = meter;
    this.#figures = figures;
  }

  /** The board of a meter for what has those figures. */
  static of<M>(meter: Meter, figures: readonly Figure<M>[]): Board<M> {
    const boards = Board.#boards.get(meter) ?? new Map<readonly Figure<never>[], Board<never>>();
    Board.#boards.set(meter, boards);
    const board = boards.get(figures) ?? (new Board<M>(meter, figures) as Board<never>);
    boards.set(figures, board);
    return board as Board<M>;
  }

  /** Report one more; gives what ends that. */
  add(counting: Counting<M>, attributes: Attributes): () => void {
    const key = JSON.stringify(attributes);
    const row = this.#rows.get(key) ?? { attributes, members: new Set(), gone: this.#figures.map(() => 0) };
    this.#rows.set(key, row);
    for (const known of this.#rows.values()) this.#look(known);
    const member: Member<M> = { counting: new WeakRef(counting), last: [] };
    row.members.add(member);
    if (this.#instruments === null) {
      this.#instruments = this.#figures.map((figure) => observable(this.#meter, figure));
      this.#meter.addBatchObservableCallback(this.#observe, this.#instruments);
    }
    return () => {
      this.#look(row);
      this.#retire(row, member);
      if ([...this.#rows.values()].every(({ members }) => members.size === 0)) this.#end();
    };
  }

  /** Bring the members of a row up to date; those that are gone leave what they had. */
  #look(row: Row<M>): void {
    for (const member of row.members) {
      const counting = member.counting.deref();
      if (counting === undefined) this.#retire(row, member);
      else {
        const metrics = counting.metrics();
        member.last = this.#figures.map((figure) => figure.of(metrics));
      }
    }
  }

  #retire(row: Row<M>, member: Member<M>): void {
    if (!row.members.delete(member)) return;
    for (const [i, { kind }] of this.#figures.entries()) {
      if (kind === "counter") row.gone[i]! += member.last[i] ?? 0;
    }
  }

  #report(result: BatchObservableResult): void {
    for (const row of this.#rows.values()) {
      this.#look(row);
      for (const [i, { attributes }] of this.#figures.entries()) {
        let sum = row.gone[i]!;
        for (const { last } of row.members) sum += last[i] ?? 0;
        result.observe(this.#instruments![i]!, sum, { ...row.attributes, ...attributes });
      }
    }
  }

  #end(): void {
    this.#meter.removeBatchObservableCallback(this.#observe, this.#instruments!);
    this.#instruments = null;
  }
}

/** The instrument of a figure. */
export function observable<M>(meter: Meter, { name, description, unit, kind }: Figure<M>): Observable {
  if (kind === "counter") return meter.createObservableCounter(name, { description, unit });
  if (kind === "level") return meter.createObservableUpDownCounter(name, { description, unit });
  return meter.createObservableGauge(name, { description, unit });
}
