import type { StandardJSONSchemaV1, StandardSchemaV1 } from "@standard-schema/spec";

/** A JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Keywords whose values are maps of schemas: their keys are names, not keywords. */
const MAPS = new Set(["properties", "patternProperties", "definitions", "$defs", "dependencies"]);
/** Keywords whose values are data. */
const DATA = new Set(["const", "enum", "default", "examples"]);

/**
 * A Standard Schema's input as JSON Schema of draft 7, by Standard JSON Schema, where its vendor offers that: zod since 4.2
 * and arktype do by themselves, valibot by `toStandardJsonSchema` of `@valibot/to-json-schema`.
 *
 * Its input, for that is what is stored.
 *
 * @returns `null` where it does not say, or it has no form in JSON Schema.
 * @see https://standardschema.dev/json-schema
 */
export function jsonSchemaOf(schema: StandardSchemaV1): JsonSchema | null {
  const standard = schema["~standard"] as StandardSchemaV1.Props & Partial<StandardJSONSchemaV1.Props>;
  try {
    const given = standard.jsonSchema?.input({
      target: "draft-07",
      // A part that has no form, such as a date, is then anything.
      ...(standard.vendor === "zod" ? { libraryOptions: { unrepresentable: "any" } } : {}),
    });
    if (typeof given !== "object" || given === null) return null;
    const { $schema: _, ...rest } = given;
    return rest;
  } catch {
    return null;
  }
}

/** A schema that stands in another document, at a JSON pointer: its references into itself begin there. */
export function rebased(schema: JsonSchema, at: string): JsonSchema {
  const moved = Object.entries(schema).map(([keyword, value]) => {
    if (keyword === "$ref" && typeof value === "string" && value.startsWith("#"))
      return [keyword, at + value.slice(1)];
    if (DATA.has(keyword)) return [keyword, value];
    return [keyword, MAPS.has(keyword) ? mapped(value, at) : walked(value, at)];
  });
  return Object.fromEntries(moved);
}

/** A map of schemas. */
function mapped(value: unknown, at: string): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, walked(schema, at)]));
}

/** A schema, a list of them, or something else. */
function walked(value: unknown, at: string): unknown {
  if (Array.isArray(value)) return value.map((one) => walked(one, at));
  return isObject(value) ? rebased(value, at) : value;
}

function isObject(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
