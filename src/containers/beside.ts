/**
 * A key beside a stream's, in the same slot of a cluster: `{orders}:dead` for `orders`, `{tag}orders:dead` for
 * `{tag}orders`, whose hash tag it keeps.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
 */
export function beside(key: string, name: string): string {
  return /^[^{]*\{[^}]+\}/.test(key) ? `${key}:${name}` : `{${key}}:${name}`;
}

/** The key of a stream's dead letters, where a worker is not told another. */
export function deadLetterKey(key: string): string {
  return beside(key, "dead");
}
