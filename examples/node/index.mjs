// A bot in Node.js that says everything back, on every account of the supervisor.
//
//   npm ci --ignore-scripts
//   LONGWIRE_ENDPOINT=ipc:///path/to/var/longwire.sock npm start
//
// It needs no library of ours: docs/protocol.md says what goes over the wire. Start it before or after the
// supervisor, stop it, kill it, restart the supervisor: the subscription remembers what it has done, and there is
// one answer to each message.

import { decode, encode } from "@msgpack/msgpack";
import { Dealer } from "zeromq";

const ENDPOINT = process.env.LONGWIRE_ENDPOINT ?? "ipc://var/longwire.sock";
const NAME = "echo-node"; // of the durable subscription
const CREDIT = 64; // events that may be on their way to us at once
const PING_MS = 2000;

// `immediate`: nothing is queued for a supervisor that is away. `linger`: the last acks still leave.
const socket = new Dealer({ immediate: true, linger: 200 });
socket.connect(ENDPOINT);

// Frames go out one after the other: this socket takes no second one while the first waits.
let sent = Promise.resolve();
let unsent = 0;

function say(kind, fields) {
  const frame = encode({ kind, ...fields }, { ignoreUndefined: true });
  unsent += 1;
  sent = sent.then(() => socket.send(frame)).then(
    () => (unsent -= 1),
    (error) => {
      if (!socket.closed) throw error; // what is still to be said when we leave is said by nobody
    },
  );
}

// Numbers for requests and pings, growing as they go out.
let lastId = 0;

// Requests, and who waits for their replies. Other frames may come in between.
const waiting = new Map();

function request(method, fields) {
  return new Promise((resolve) => ask({ method, fields, resolve }));
}

function ask(call) {
  waiting.set((lastId += 1), call);
  say("request", { id: lastId, method: call.method, ...call.fields });
}

let subscribedBy; // the id of the request

async function subscribe() {
  subscribedBy = lastId + 1;
  // `start` counts the first time only: afterwards the supervisor knows where we were.
  const params = { name: NAME, start: "new", types: ["message.created"], credit: CREDIT };
  const reply = await request("events.subscribe", { params });
  if (reply.status === "failed") throw new Error(`cannot subscribe: ${reply.message}`);
  console.log(`subscribed from event ${reply.data.next_seq} on`);
}

async function answer(event) {
  const reply = await request("message.create", {
    account: event.account,
    params: {
      chat: event.chat,
      user: event.sender?.id,
      reply_to: event.message_id,
      text: `echo: ${event.text}`,
    },
    // However often this event comes again, and this request with it, there is one answer.
    idempotency_key: `${NAME}-${event.seq}`,
    deadline_ms: 10_000,
  });
  if (reply.status === "failed") console.error(`no answer to event ${event.seq}: ${reply.message}`);
  if (reply.status === "failed" && reply.retryable) {
    say("nack", { subscription: NAME, seq: event.seq, delay_ms: reply.retry_after_ms ?? 2000 });
  } else {
    say("ack", { subscription: NAME, seqs: [event.seq] });
  }
  say("credit", { subscription: NAME, n: 1 }); // there is room for another one
}

// What we asked before `since` went by an earlier connection: its supervisor may be gone, or we were cut off.
// Nobody answers that any more, nor delivers by a subscription of then.
function meet(since) {
  for (const [id, call] of [...waiting].filter(([id]) => id < since)) {
    waiting.delete(id);
    if (call.fields.idempotency_key) ask(call); // safe to ask twice: see `answer`
  }
  if (subscribedBy < since) void subscribe();
}

let work = Promise.resolve(); // events are answered one after the other

function read(frame) {
  switch (frame.kind) {
    case "reply":
      waiting.get(frame.id)?.resolve(frame);
      waiting.delete(frame.id);
      break;
    case "events":
      for (const event of frame.events) work = work.then(() => answer(event));
      break;
    case "ping":
      say("pong", { id: frame.id });
      break;
    case "pong":
      meet(frame.since);
      break;
    case "error":
      console.error(`${frame.code}: ${frame.message}`);
      break;
    // Later versions may send other kinds: a client ignores what it does not know.
  }
}

const pinging = setInterval(() => {
  if (unsent === 0) say("ping", { id: (lastId += 1) });
}, PING_MS);

async function stop() {
  clearInterval(pinging);
  // Take leave, so that others of this subscription get our chats now and not when we count as crashed.
  const left = work.then(() => request("events.unsubscribe", { params: { subscription: NAME } }));
  await Promise.race([left, new Promise((resolve) => setTimeout(resolve, 1000))]);
  socket.close();
}

process.once("SIGINT", stop);
process.once("SIGTERM", stop);

void subscribe();
for await (const [frame] of socket) read(decode(frame));
