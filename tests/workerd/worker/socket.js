// One socket of a shard. What the object must know of it when it wakes from hibernation is attached to the socket
// itself: the name under which its subscriptions are stored, whose it is, and what its `connect` said.

export class Socket {
  #socket;
  #attached;

  /** Take a new socket on; the runtime holds it from then on, awake or not. */
  static accept(ctx, socket, subject) {
    ctx.acceptWebSocket(socket);
    socket.serializeAttachment({ key: crypto.randomUUID(), subject, clientId: null, takesDeltas: false });
  }

  constructor(socket) {
    this.#socket = socket;
    this.#attached = socket.deserializeAttachment();
  }

  get key() {
    return this.#attached.key;
  }

  get subject() {
    return this.#attached.subject;
  }

  get clientId() {
    return this.#attached.clientId;
  }

  /** Whether the client merges deltas. */
  get takesDeltas() {
    return this.#attached.takesDeltas;
  }

  /** Keep what a `connect` frame says. */
  introduce({ clientId, caps }) {
    this.#attached = { ...this.#attached, clientId, takesDeltas: Array.isArray(caps) && caps.includes("pageDelta") };
    this.#socket.serializeAttachment(this.#attached);
  }

  /** Send a frame; one that is closing takes none. */
  send(frame) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }
}
