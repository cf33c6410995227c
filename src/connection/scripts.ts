import { createHash } from "node:crypto";
import { HEADERS_FIELD } from "../wire/codec.ts";

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

/** How many arguments {@link CALL} sets before the others at a time; a Lua function has room for some 240. */
const STRIDE = 100;

/**
 * Lua: `call(args, #args)` is `redis.call` of a whole list, however long. `unpack` ends at some 8,000, which is an entry
 * of 4,000 fields; beyond, each call sets the last of the list before those it was given, and tail-calls itself.
 */
const CALL = `
local function call(args, left, ...)
  if #args < 7000 then return redis.call(unpack(args)) end
  if left == 0 then return redis.call(...) end
  if left < ${STRIDE} then return call(args, left - 1, args[left], ...) end
  return call(args, left - ${STRIDE}, ${Array.from({ length: STRIDE }, (_, i) => `args[left-${STRIDE - 1 - i}]`)}, ...)
end
`;

/**
 * Remove the consumers of one group that have been idle and hold nothing.
 *
 * `KEYS[1]` stream, `ARGV[1]` group, `ARGV[2]` idle in milliseconds, `ARGV[3]` with what the names begin. Gives the
 * names removed. Looking and removing are one step: a consumer that is given an entry in between is not removed with it.
 */
export const removeIdleConsumers: Script = script(`
local removed = {}
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for i = 1, #consumer, 2 do facts[consumer[i]] = consumer[i + 1] end
  local isMeant = string.sub(facts['name'], 1, #ARGV[3]) == ARGV[3]
  if isMeant and facts['pending'] == 0 and facts['idle'] >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], facts['name'])
    removed[#removed + 1] = facts['name']
  end
end
return removed
`);

/**
 * Prefix of the consumers under which entries wait for their next delivery: `@retry:1500` holds those that are due 1,500
 * ms after they came there, by the server's idle time.
 */
export const WAITING = "@retry:";

/** Name of the field that says of a dead letter where it came from and why. */
export const DEAD_FIELD = "@dead";

/** The consumer under which entries are put that the same consumer left pending in an earlier life; they are due. */
const ORPHANS = "@orphan:0";

/**
 * Take up what is due: entries that wait and have waited long enough, and those of consumers that were silent for
 * longer than the lease. Each counts one delivery more.
 *
 * `KEYS[1]` stream, `ARGV[1]` group, `ARGV[2]` consumer, `ARGV[3]` lease in milliseconds, `ARGV[4]` most entries, `ARGV[5]`
 * the count of the last delivery, 0 where there is none, `ARGV[6]` how many suspects may be taken up, `ARGV[7]` what this
 * gave for the time before, "" at first, 0 to take nothing from silent consumers. Gives the server's time in
 * milliseconds, 1 where nothing was taken from silent consumers, and by consumer: its name, the ids with the new counts
 * in turn, and the entries as `XCLAIM` gives them (without those that were deleted).
 *
 * A suspect is an entry of a silent consumer that is in the latter half of its deliveries: it may be what its consumers
 * died of. Beyond the room a hundred more are looked at, so that a few suspects do not hide what lies behind them.
 *
 * A consumer whose name only looks so, with more milliseconds than there are, is one like any other.
 *
 * Where nobody asked for most of a lease, the server itself was silent, and none could renew theirs: then all are spared.
 */
export const takeDue: Script = script(`
local taken, room, last, suspects = {}, tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = string.format('%d%03d', time[1], math.floor(time[2] / 1000))
local isSparing = ARGV[7] ~= '' and math.abs(now - ARGV[7]) > ARGV[3] * 0.6
local summary = redis.call('XPENDING', KEYS[1], ARGV[1])
for _, holder in ipairs(summary[4] or {}) do
  if room <= 0 then break end
  local name = holder[1]
  local delay = string.match(name, '^@%a+:(%d+)$')
  if delay and #delay > 15 then delay = nil end
  local isWaiting = string.sub(name, 1, ${WAITING.length}) == '${WAITING}'
  local due = {}
  if delay or not isSparing then
    due = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', delay or ARGV[3], '-', '+', room + 100, name)
  end
  local claim, counts = {'XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0'}, {}
  for _, entry in ipairs(due) do
    local count = entry[4] + 1
    local isSuspect = not isWaiting and count * 2 > last + 1 and count <= last
    if #claim - 5 < room and (not isSuspect or suspects > 0) then
      if isSuspect then suspects = suspects - 1 end
      claim[#claim + 1] = entry[1]
      counts[#counts + 1] = entry[1]
      counts[#counts + 1] = count
    end
  end
  if #claim > 5 then
    taken[#taken + 1] = {name, counts, redis.call(unpack(claim))}
    room = room - (#claim - 5)
    if delay and #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, name) == 0 then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
    end
  end
end
return {now, isSparing and 1 or 0, taken}
`);

/**
 * Put what a consumer left pending in an earlier life where it is due at once, 1,000 at a time.
 *
 * `KEYS[1]` stream, `ARGV[1]` group, `ARGV[2]` consumer. Gives how many there were.
 */
export const orphan: Script = script(`
local left = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])
if #left == 0 then return 0 end
local claim = {'XCLAIM', KEYS[1], ARGV[1], '${ORPHANS}', '0'}
for _, entry in ipairs(left) do claim[#claim + 1] = entry[1] end
claim[#claim + 1] = 'JUSTID'
redis.call(unpack(claim))
return #left
`);

/**
 * Begin the idle time of entries again, of those that are still held: by the same consumer, in the same delivery.
 *
 * `KEYS[1]` stream, `ARGV[1]` group, `ARGV[2]` consumer, then ids and their delivery counts in turn. Gives for each
 * in turn: `kept`, `lost` where another delivery has it, `gone` where it is pending no more. By place and not by id, since
 * a consumer may hold an entry in two deliveries until it learns that one of them is over.
 */
export const renew: Script = script(`
local claim, verdicts = {'XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0'}, {}
for i = 3, #ARGV, 2 do
  local entry = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  local verdict = 'lost'
  if not entry then verdict = 'gone'
  elseif entry[2] == ARGV[2] and entry[4] == tonumber(ARGV[i + 1]) then
    verdict = 'kept'
    claim[#claim + 1] = ARGV[i]
  end
  verdicts[#verdicts + 1] = verdict
end
if #claim > 5 then
  claim[#claim + 1] = 'JUSTID'
  redis.call(unpack(claim))
end
return verdicts
`);

/**
 * Have entries wait for their next delivery, those that are still held.
 *
 * `KEYS[1]` stream, `ARGV[1]` group, `ARGV[2]` consumer, `ARGV[3]` the consumer under which they wait, `ARGV[4]` "0"
 * where this delivery is not to count, then ids and their delivery counts in turn. Gives the ids that wait now, those
 * included that do by an earlier call whose reply was lost: under that name with that count, an entry waits for this.
 */
export const wait: Script = script(`
local moved = {}
for i = 5, #ARGV, 2 do
  local entry = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  local count = tonumber(ARGV[i + 1])
  if entry and entry[2] == ARGV[2] and entry[4] == count then
    local claim = {'XCLAIM', KEYS[1], ARGV[1], ARGV[3], '0', ARGV[i], 'JUSTID'}
    if ARGV[4] == '0' then
      claim[#claim + 1] = 'RETRYCOUNT'
      claim[#claim + 1] = entry[4] - 1
    end
    redis.call(unpack(claim))
    moved[#moved + 1] = ARGV[i]
  elseif entry and entry[2] == ARGV[3] and entry[4] == count - (ARGV[4] == '0' and 1 or 0) then
    moved[#moved + 1] = ARGV[i]
  end
end
return moved
`);

/**
 * Move an entry to the dead letters, where it is still held: added there and acknowledged here, or neither.
 *
 * `KEYS[1]` stream, `KEYS[2]` dead letters (absent to drop it), `ARGV[1]` group, `ARGV[2]` consumer, `ARGV[3]` id,
 * `ARGV[4]` delivery count, `ARGV[5]` what is known of it, a JSON object, to which the server's time is added. Gives 1
 * where it was moved or dropped, 0 where it is not held any more, -1 where it was deleted from the stream and is only
 * acknowledged.
 */
export const bury: Script = script(`${CALL}
local entry = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
if not entry or entry[2] ~= ARGV[2] or entry[4] ~= tonumber(ARGV[4]) then return 0 end
local stored = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])[1]
if stored and KEYS[2] then
  local time = redis.call('TIME')
  local ms = string.format('%d%03d', time[1], math.floor(time[2] / 1000))
  local add = {'XADD', KEYS[2], '*'}
  for i = 1, #stored[2], 2 do
    if stored[2][i] ~= '${DEAD_FIELD}' then
      add[#add + 1] = stored[2][i]
      add[#add + 1] = stored[2][i + 1]
    end
  end
  add[#add + 1] = '${DEAD_FIELD}'
  add[#add + 1] = string.sub(ARGV[5], 1, -2) .. ',"time":' .. ms .. '}'
  call(add, #add)
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
return stored and 1 or -1
`);

/**
 * Move a dead letter to a stream, where it is still there.
 *
 * `KEYS[1]` dead letters, `KEYS[2]` stream, `ARGV[1]` id, `ARGV[2]` its new headers. Gives its id there, null
 * where it is gone.
 */
export const redrive: Script = script(`${CALL}
local stored = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not stored then return false end
local add = {'XADD', KEYS[2], '*'}
for i = 1, #stored[2], 2 do
  local name = stored[2][i]
  if name ~= '${DEAD_FIELD}' and name ~= '${HEADERS_FIELD}' then
    add[#add + 1] = name
    add[#add + 1] = stored[2][i + 1]
  end
end
add[#add + 1] = '${HEADERS_FIELD}'
add[#add + 1] = ARGV[2]
local id = call(add, #add)
redis.call('XDEL', KEYS[1], ARGV[1])
return id
`);

/**
 * Add an entry once: a repeat within the window gives the first one's id.
 *
 * `KEYS[1]` stream, `KEYS[2]` where the id is remembered, `ARGV[1]` window in milliseconds, then what follows the key in
 * `XADD`.
 */
export const addOnce: Script = script(`${CALL}
local known = redis.call('GET', KEYS[2])
if known then return known end
local add = {'XADD', KEYS[1]}
for i = 2, #ARGV do add[i + 1] = ARGV[i] end
local id = call(add, #add)
redis.call('SET', KEYS[2], id, 'PX', ARGV[1])
return id
`);

/**
 * Claim a consumer's name for one worker, or keep it.
 *
 * `KEYS[1]` where that is remembered, `ARGV[1]` who claims it, `ARGV[2]` for how many milliseconds. Gives 0 where
 * another one has it.
 */
export const claimName: Script = script(`
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`);

/** Give a claimed name back. `KEYS[1]` where that is remembered, `ARGV[1]` who claimed it. */
export const dropName: Script = script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`);
