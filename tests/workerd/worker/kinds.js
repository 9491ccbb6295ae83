// Payloads of the value codec's tags, refused where they are not exactly what docs/protocol.md says in the sections
// "Tags" and "Rules of the kinds".

import { AppError } from "./errors.js";

const KINDS = Object.fromEntries(
  [
    ArrayBuffer, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
    Float32Array, Float64Array, BigInt64Array, BigUint64Array,
  ].map((kind) => [kind.name, kind]),
);

export function checkedString(value) {
  check(typeof value === "string", "a string is missing");
  return value;
}

export function checkedBigInt(text) {
  check(/^-?[0-9]+$/.test(checkedString(text)) && text.length <= 1024, "a bigint is no decimal");
  return BigInt(text);
}

export function checkedDate(epoch) {
  check(typeof epoch === "number", "a date is no number");
  return new Date(epoch);
}

export function checkedUrl(href) {
  check(/^[A-Za-z][A-Za-z0-9+.-]*:/.test(checkedString(href)), "a url has no scheme");
  return new Href(href);
}

/** A url whose text is kept byte for byte: parsing would normalise it. */
class Href extends URL {
  #href;

  constructor(href) {
    super("about:blank");
    this.#href = href;
  }

  get href() {
    return this.#href;
  }
}

export function encodeBase64(bytes) {
  return bytes.toBase64();
}

/** Return the bytes of base64 in its one canonical spelling. */
export function decodeBase64(text) {
  let bytes;
  try {
    bytes = Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
  } catch {
    check(false, "bytes are no base64");
  }
  check(encodeBase64(bytes) === text, "base64 is not canonical");
  return bytes;
}

/** Return bytes as the kind of array that they say; an unknown kind is plain bytes. */
export function viewOf(bytes, name) {
  const kind = typeof name === "string" && Object.hasOwn(KINDS, name) ? KINDS[name] : Uint8Array;
  check(bytes.length % (kind.BYTES_PER_ELEMENT ?? 1) === 0, `bytes are no ${name}`);
  return kind === ArrayBuffer ? bytes.buffer : new kind(bytes.buffer);
}

function check(condition, message) {
  if (!condition) throw new AppError("WIRE_DECODE_FAILED", message);
}
