import { type AsyncAPIDocumentInterface, Parser } from "@asyncapi/parser";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  type AsyncApiDocument,
  type AsyncApiSource,
  asyncApiDocument,
} from "../../../src/flow/app/asyncapi.ts";
import { jsonSchemaOf, rebased } from "../../../src/flow/app/json-schema.ts";

type Subscription = AsyncApiSource["subscriptions"][number];
type Publication = AsyncApiSource["publications"][number];

const Order = z.object({ sku: z.string(), total: z.number().int() }).meta({ title: "Order" });
const Payment = z.object({ paid: z.number() });

function subscription(streams: string | string[], more: Partial<Subscription> = {}): Subscription {
  return {
    ...{ streams: [streams].flat(), group: null, schema: null, publishTo: null, isBatch: false },
    ...{ title: null, description: null, ...more },
  };
}

function publication(stream: string, more: Partial<Publication> = {}): Publication {
  return { stream, schema: null, title: null, description: null, ...more };
}

function documentOf(source: Partial<AsyncApiSource>): AsyncApiDocument {
  return asyncApiDocument({
    title: "billing",
    version: "1.2.3",
    subscriptions: [],
    publications: [],
    ...source,
  });
}

const parser = new Parser();

/** What the official parser makes of a document, which it finds nothing wrong with. */
async function parsed(document: AsyncApiDocument): Promise<AsyncAPIDocumentInterface> {
  const { document: read, diagnostics } = await parser.parse(JSON.stringify(document));
  // Below are remarks: that there is a newer version.
  expect(diagnostics.filter(({ severity }) => severity <= 1)).toEqual([]);
  expect(read).toBeDefined();
  return read!;
}

describe("asyncApiDocument", () => {
  test("orders in, payments out – valid, and says so", async () => {
    const document = documentOf({
      description: "Takes money.",
      subscriptions: [
        subscription("orders", {
          group: "billing",
          schema: Order,
          publishTo: "payments",
          title: "Bills an order",
        }),
      ],
      publications: [publication("payments", { schema: Payment, description: "What was paid" })],
    });
    expect(document.channels.orders).toEqual({
      title: "orders",
      address: "orders",
      messages: { Order: { $ref: "#/components/messages/Order" } },
      bindings: { redis: {} },
    });
    expect(document.operations).toEqual({
      receiveOrdersForBilling: {
        action: "receive",
        channel: { $ref: "#/channels/orders" },
        title: "Bills an order",
        messages: [{ $ref: "#/channels/orders/messages/Order" }],
        reply: { address: { location: "$message.header#/reply-to" } },
        bindings: { redis: {} },
        "x-redis-consumer-group": "billing",
      },
      sendPayments: {
        action: "send",
        channel: { $ref: "#/channels/payments" },
        description: "What was paid",
        messages: [{ $ref: "#/channels/payments/messages/Payments" }],
        bindings: { redis: {} },
      },
    });
    expect(document.components.schemas.Payments).toEqual({
      type: "object",
      properties: { paid: { type: "number" } },
      required: ["paid"],
    });
    const read = await parsed(document);
    expect(read.info().title()).toBe("billing");
    expect(read.info().version()).toBe("1.2.3");
    expect(read.defaultContentType()).toBe("application/json");
    const [receive, send] = read.operations().all();
    expect(receive!.isReceive()).toBe(true);
    expect(receive!.channels().all()[0]!.address()).toBe("orders");
    expect(receive!.messages().all()[0]!.payload()!.properties()!.sku!.type()).toBe("string");
    expect(send!.isSend()).toBe(true);
    expect(send!.messages().all()[0]!.payload()!.required()).toEqual(["paid"]);
  });

  test("nothing at all – valid", async () => {
    const read = await parsed(documentOf({}));
    expect(read.channels().all()).toEqual([]);
  });

  test("what a handler returns – is sent to `publishTo`, once and without a schema where no publisher has one", async () => {
    const read = await parsed(
      documentOf({
        subscriptions: [
          subscription("orders", { group: "a", publishTo: "payments" }),
          subscription("refunds", { group: "a", publishTo: "payments" }),
        ],
      }),
    );
    const sends = read.operations().filterBySend();
    expect(sends.map((operation) => operation.channels().all()[0]!.address())).toEqual(["payments"]);
    expect(sends[0]!.messages().all()[0]!.payload()!.json()).toEqual({
      "x-parser-schema-id": expect.any(String),
    });
  });

  test("several streams, groups and schemas – an operation for each, names of their own", async () => {
    const other = z.object({ other: z.boolean() }).meta({ title: "Order" });
    const document = documentOf({
      subscriptions: [
        subscription(["orders:eu", "orders_eu"], { group: "billing", schema: Order }),
        subscription("orders:eu", { group: "billing", schema: other }),
        subscription("orders:eu", { schema: Order, isBatch: true }),
      ],
    });
    const read = await parsed(document);
    expect(Object.entries(document.channels).map(([name, { address }]) => [name, address])).toEqual([
      ["ordersEu", "orders:eu"],
      ["ordersEu2", "orders_eu"],
    ]);
    expect(Object.keys(document.operations)).toEqual([
      "receiveOrdersEuForBilling",
      "receiveOrdersEuForBilling2",
      "receiveOrdersEuForBilling3",
      "receiveOrdersEu",
    ]);
    expect(Object.keys(document.components.messages)).toEqual(["Order", "Order2", "Order3"]);
    expect(Object.keys(document.channels.ordersEu!.messages)).toEqual(["Order", "Order3"]);
    expect(document.operations.receiveOrdersEu).not.toHaveProperty("reply");
    expect(document.operations.receiveOrdersEu).not.toHaveProperty("x-redis-consumer-group");
    expect(document.operations.receiveOrdersEuForBilling).toMatchObject({
      "x-redis-consumer-group": "billing",
      reply: { address: { location: "$message.header#/reply-to" } },
    });
    expect(read.operations().all()).toHaveLength(4);
  });

  test("odd names – valid, and the keys are told", async () => {
    const streams = [
      "{tag}orders",
      "a{b}c{d}",
      "{orders",
      "orders}",
      "{}orders",
      "a/b?c#d~e",
      "ünï",
      "-",
      "__proto__",
    ];
    const document = documentOf({ subscriptions: [subscription(streams, { schema: Order })] });
    const channels = (await parsed(document)).channels().all();
    expect(channels.map((channel) => channel.json().title)).toEqual(streams);
    const addresses = channels.map((channel) => {
      const parameters = channel.json().parameters as Record<string, { default: string }> | undefined;
      return channel.address()!.replace(/\{(\w+)\}/g, (_, name) => parameters![name]!.default);
    });
    expect(addresses).toEqual(streams);
  });

  test("schemas that refer into themselves – are found where they stand", async () => {
    type Tree = { name: string; children: Tree[] };
    const Tree: z.ZodType<Tree> = z.object({ name: z.string(), children: z.array(z.lazy(() => Tree)) });
    const Shared = z.object({ x: z.number() }).meta({ id: "Shared" });
    const both = z.object({ a: Shared, b: Shared });
    const document = documentOf({
      subscriptions: [subscription("trees", { schema: Tree }), subscription("pairs", { schema: both })],
    });
    expect(JSON.stringify(document.components.schemas)).toContain('"$ref":"#/components/schemas/Trees"');
    expect(JSON.stringify(document.components.schemas)).toContain('"$ref":"#/components/schemas/Pairs/');
    const read = await parsed(document);
    const [trees, pairs] = read.channels().all();
    const children = trees!.messages().all()[0]!.payload()!.properties()!.children!;
    expect(children.json()).toMatchObject({ items: { allOf: [{ required: ["name", "children"] }] } });
    const pair = pairs!.messages().all()[0]!.payload()!.properties()!;
    expect(pair.b!.properties()!.x!.type()).toBe("number");
  });

  test("a converter of one's own – is asked instead", () => {
    const document = documentOf({
      subscriptions: [subscription("orders", { schema: v.object({ sku: v.string() }) })],
      jsonSchema: () => ({ type: "object", title: "by hand" }),
    });
    expect(document.components.schemas).toEqual({ ByHand: { type: "object", title: "by hand" } });
  });
});

describe("jsonSchemaOf", () => {
  test("zod – its input in draft 7, without the dialect", () => {
    const schema = z.object({ a: z.string(), n: z.string().transform(Number), d: z.number().default(7) });
    expect(jsonSchemaOf(schema)).toEqual({
      type: "object",
      properties: { a: { type: "string" }, n: { type: "string" }, d: { type: "number", default: 7 } },
      required: ["a", "n"],
    });
  });

  test("zod – a part without a form in JSON is anything", () => {
    expect(jsonSchemaOf(z.object({ at: z.date(), n: z.bigint() }))).toMatchObject({
      properties: { at: {}, n: {} },
    });
  });

  test("one that does not say, or fails – null", () => {
    expect(jsonSchemaOf(v.object({ sku: v.string() }))).toBeNull();
    const props = { version: 1, vendor: "mine", validate: (value: unknown) => ({ value }) } as const;
    const failing = () => {
      throw new Error("no form");
    };
    const broken = { "~standard": { ...props, jsonSchema: { input: failing, output: failing } } };
    expect(jsonSchemaOf(broken as StandardSchemaV1)).toBeNull();
  });
});

test("rebased – references move, names and data that look like them do not", () => {
  const schema = {
    $ref: "#/definitions/A",
    properties: {
      $ref: { type: "string" },
      enum: { $ref: "#" },
      other: { $ref: "https://example.com/x.json#/a" },
    },
    enum: [{ $ref: "#/data" }],
    default: { $ref: "#/data" },
    anyOf: [{ items: { $ref: "#/definitions/A" } }, true],
  };
  expect(rebased(schema, "#/at")).toEqual({
    $ref: "#/at/definitions/A",
    properties: {
      $ref: { type: "string" },
      enum: { $ref: "#/at" },
      other: { $ref: "https://example.com/x.json#/a" },
    },
    enum: [{ $ref: "#/data" }],
    default: { $ref: "#/data" },
    anyOf: [{ items: { $ref: "#/at/definitions/A" } }, true],
  });
});
