// A shard: one Durable Object with a database and sockets. It hibernates when nobody says anything: its memory goes,
// its sockets stay, and the runtime answers their keepalives. The constructor runs again before the next event.

import { DurableObject } from "cloudflare:workers";

import { Calls } from "./calls.js";
import { decode } from "./codec.js";
import { AppError, errorFrame } from "./errors.js";
import { LiveQueries } from "./live.js";
import { Shapes } from "./shapes.js";
import { Socket } from "./socket.js";
import { Store } from "./store.js";

const KEEPALIVE = new WebSocketRequestResponsePair("lunora-ping", "lunora-pong");

export class Shard extends DurableObject {
  #store;
  #calls;
  #live;
  #shapes;

  constructor(ctx, env) {
    super(ctx, env);
    this.#store = new Store(ctx.storage);
    this.#store.setMeta("lives", this.lives() + 1);
    this.#calls = new Calls(this.#store, (changes, clientId) => this.#publish(changes, clientId));
    this.#live = new LiveQueries(this.#store, (...query) => this.#calls.read(...query));
    this.#shapes = new Shapes(this.#store);
    ctx.setWebSocketAutoResponse(KEEPALIVE);
    this.#store.keepSubscriptionsOf(this.#sockets().map((socket) => socket.key));
  }

  /** Carry a call out; return the body of its answer. */
  carryOut(call) {
    return this.#calls.carryOut(call);
  }

  /** Accept a socket, whose subject the Worker has verified. */
  fetch(request) {
    const [client, server] = Object.values(new WebSocketPair());
    Socket.accept(this.ctx, server, JSON.parse(new URL(request.url).searchParams.get("subject")));
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(webSocket, message) {
    const frame = parsed(message);
    if (frame !== null) this.#receive(new Socket(webSocket), frame);
  }

  /** Answer the farewell of a client, who waits for it, and forget its subscriptions. */
  webSocketClose(webSocket) {
    webSocket.close();
    const { key } = new Socket(webSocket);
    this.#live.forget(key);
    this.#store.keepSubscriptionsOf(this.#sockets().map((socket) => socket.key).filter((each) => each !== key));
  }

  #receive(socket, frame) {
    const { type, id } = frame;
    if (type === "connect") this.#greet(socket, frame);
    else if (type === "subscribe") this.#answer(socket, frame, (args) => this.#live.subscribe(socket, id, { ...frame.query, args }));
    else if (type === "unsubscribe") this.#live.unsubscribe(socket, id);
    else if (type === "shape_subscribe") this.#answer(socket, frame, (args) => this.#follow(socket, frame, args));
    else if (type === "shape_unsubscribe") this.#shapes.unsubscribe(socket, id);
    else if (type === "stream") socket.send(errorFrame(id, new AppError("NOT_IMPLEMENTED", "there are no streams here")));
  }

  #greet(socket, frame) {
    socket.introduce(frame);
    socket.send({ type: "identity", subject: socket.subject });
  }

  /** Carry a subscription on with its decoded arguments, or refuse it where it is malformed. */
  #answer(socket, { id, query, shape }, subscribe) {
    try {
      subscribe(argsOf(id, query ?? shape));
    } catch (error) {
      socket.send(errorFrame(id, error));
    }
  }

  #follow(socket, { id, shape, sinceCheckpoint, sinceEpoch }, args) {
    this.#shapes.subscribe(socket, id, { ...shape, args }, sinceCheckpoint, sinceEpoch);
  }

  #publish(changes, clientId) {
    const sockets = this.#sockets();
    this.#live.publish(sockets, changes, clientId);
    this.#shapes.publish(sockets, changes);
  }

  #sockets() {
    return this.ctx.getWebSockets().map((socket) => new Socket(socket));
  }

  // What tests do to a shard; see controls.js.

  /** How often the object was constructed: it forgets itself, its database does not. */
  lives() {
    return this.#store.meta("lives") ?? 0;
  }

  /** How many live queries and shapes sockets have. */
  subscriptions() {
    return this.#store.countSubscriptions();
  }

  beginEpoch() {
    this.#store.beginEpoch();
  }

  closeSockets(code) {
    for (const socket of this.ctx.getWebSockets()) socket.close(code, "on request");
  }

  abort() {
    this.ctx.abort("on request");
  }
}

/** A frame, or null for what cannot be read. */
function parsed(message) {
  try {
    const frame = JSON.parse(typeof message === "string" ? message : new TextDecoder("utf-8", { fatal: true }).decode(message));
    return typeof frame === "object" ? frame : null;
  } catch {
    return null;
  }
}

function argsOf(id, target) {
  const name = target?.functionPath ?? target?.name;
  try {
    const args = decode(target?.args ?? {});
    if (typeof id === "string" && typeof name === "string" && Object.getPrototypeOf(args) === Object.prototype) return args;
  } catch {
    // Said below, under the code for it.
  }
  throw new AppError("BAD_SUBSCRIPTION_ARGS", "the subscription cannot be read");
}
