// The value codec: docs/protocol.md, section "Value codec". Values are JavaScript's own; kinds that JavaScript
// has no type for, or that it would not keep apart, do not exist here.

import { AppError } from "./errors.js";
import { checkedBigInt, checkedDate, checkedString, checkedUrl, decodeBase64, encodeBase64, viewOf } from "./kinds.js";

const TAG = "$lunora.wire$";
const DEPTH = 64;

/** Return the wire form of a value. */
export function encode(value, depth = 0) {
  check(depth <= DEPTH, "the value is nested too deeply");
  if (value === undefined) return [TAG, "undefined"];
  if (typeof value === "bigint") return [TAG, "bigint", String(value)];
  if (typeof value === "number") return encodeNumber(value);
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  check(typeof value === "object", `a ${typeof value} has no wire form`);
  return encodeObject(value, depth + 1);
}

/** Return the value that a wire form stands for; throw WIRE_DECODE_FAILED where it stands for none. */
export function decode(wire, depth = 0) {
  check(depth <= DEPTH, "the value is nested too deeply");
  if (wire === null || typeof wire !== "object") return wire;
  if (!Array.isArray(wire)) return mapFields(wire, (each) => decode(each, depth + 1));
  return isTagged(wire) ? DECODERS[wire[1]](wire, depth + 1) : wire.map((each) => decode(each, depth + 1));
}

function isTagged([tag, kind]) {
  return tag === TAG && typeof kind === "string" && Object.hasOwn(DECODERS, kind);
}

function encodeNumber(value) {
  if (Number.isFinite(value)) return value;
  if (Number.isNaN(value)) return [TAG, "nan"];
  return [TAG, value > 0 ? "inf" : "-inf"];
}

function encodeObject(value, depth) {
  const inner = (each) => encode(each, depth);
  if (Array.isArray(value)) return value[0] === TAG ? [TAG, "arr", value.map(inner)] : value.map(inner);
  if (value instanceof Date) return [TAG, "date", encode(value.getTime(), depth)];
  if (value instanceof URL) return [TAG, "url", value.href];
  if (value instanceof Map) return [TAG, "map", [...value].map((entry) => entry.map(inner))];
  if (value instanceof Set) return [TAG, "set", [...value].map(inner)];
  if (value instanceof Error) return encodeError(value, depth);
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return encodeBytes(value);
  return mapFields(value, inner);
}

function encodeBytes(value) {
  const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  const wire = [TAG, "bytes", encodeBase64(bytes)];
  return value instanceof Uint8Array ? wire : [...wire, value.constructor.name];
}

function encodeError(error, depth) {
  const props = mapFields({ ...error, name: undefined, cause: undefined }, (each) => encode(each, depth + 1));
  const wire = [TAG, "error", error.name, error.message, props];
  return error.cause === undefined ? wire : [...wire, encode(error.cause, depth)];
}

const DECODERS = {
  undefined: () => undefined,
  nan: () => NaN,
  inf: () => Infinity,
  "-inf": () => -Infinity,
  bigint: (wire) => checkedBigInt(wire[2]),
  date: (wire, depth) => checkedDate(decode(wire[2], depth)),
  url: (wire) => checkedUrl(wire[2]),
  map: (wire, depth) => new Map(checkedList(wire[2]).map((entry) => decodeEntry(entry, depth))),
  set: (wire, depth) => new Set(checkedList(wire[2]).map((each) => decode(each, depth))),
  arr: (wire, depth) => checkedList(wire[2]).map((each) => decode(each, depth)),
  bytes: (wire) => viewOf(decodeBase64(checkedString(wire[2])), wire[3]),
  error: decodeError,
};

function decodeEntry(entry, depth) {
  check(checkedList(entry).length === 2, "an entry of a map is no pair");
  return entry.map((each) => decode(each, depth));
}

function decodeError([, , name, message, props, ...causes], depth) {
  check(props !== null && typeof props === "object" && !Array.isArray(props), "the props of an error are no object");
  const error = new Error(checkedString(message));
  error.name = checkedString(name);
  for (const [key, value] of Object.entries(props)) define(error, key, decode(value, depth + 1));
  if (causes.length > 0) define(error, "cause", decode(causes[0], depth));
  return error;
}

/** A copy of an object with its fields changed; what becomes undefined is left out. */
function mapFields(object, change) {
  const copy = {};
  for (const [key, value] of Object.entries(object)) {
    const changed = value === undefined ? undefined : change(value);
    if (changed !== undefined) define(copy, key, changed);
  }
  return copy;
}

/** Set a field of any name: `__proto__` is an ordinary one. */
function define(object, key, value) {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

function checkedList(value) {
  check(Array.isArray(value), "a list is missing");
  return value;
}

function check(condition, message) {
  if (!condition) throw new AppError("WIRE_DECODE_FAILED", message);
}
