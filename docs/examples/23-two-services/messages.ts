// What the two services say to each other, as schemas: each side judges what it publishes and what it reads.
import { z } from "zod";

export type Order = { number: number; sku: string; total: number };
export const Order: z.ZodType<Order> = z.object({ number: z.int(), sku: z.string(), total: z.number() });

export type Payment = { order: number; paid: number };
export const Payment: z.ZodType<Payment> = z.object({ order: z.int(), paid: z.number() });

export type Question = { sku: string };
export const Question: z.ZodType<Question> = z.object({ sku: z.string() });

export type Quote = { sku: string; price: number };
