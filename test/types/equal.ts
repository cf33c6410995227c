/** True where two types are the same, optionality and readonly included. */
export type Equal<A, B> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false;

/** Compiles for `true` only. */
export type Expect<T extends true> = T;

/** Whether `A` may stand where `B` is asked for. */
export type Assignable<A, B> = A extends B ? true : false;
