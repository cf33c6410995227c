import { createHash } from "node:crypto";

/** A script, with the digest under which the server keeps it. */
export interface Script {
  /** Its text. */
  readonly lua: string;
  /** SHA-1 of the text, in hex. */
  readonly sha: string;
}

function script(lua: string): Script {
  return { lua, sha: createHash("sha1").update(lua).digest("hex") };
}

/**
 * Remove the consumers of one group that have been idle and hold nothing.
 *
 * `KEYS[1]` stream, `ARGV[1]` group, `ARGV[2]` idle in milliseconds. Gives the names removed. Looking and removing
 * are one step: a consumer that is given an entry in between is not removed with it.
 */
export const removeIdleConsumers: Script = script(`
local removed = {}
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for i = 1, #consumer, 2 do facts[consumer[i]] = consumer[i + 1] end
  if facts['pending'] == 0 and facts['idle'] >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], facts['name'])
    removed[#removed + 1] = facts['name']
  end
end
return removed
`);
