// A bot in Node.js that says everything back, on every account of the supervisor.
//
//   npm ci --ignore-scripts
//   LONGWIRE_ENDPOINT=ipc:///path/to/var/longwire.sock npm start
//
// It needs no library of ours: docs/protocol.md says what goes over the wire. Start it before or after the
// supervisor, stop it, kill it, restart the supervisor: the subscription remembers what it has done.

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
  unsent += 1;
  sent = sent.then(() => socket.send(encode({ kind, ...fields }, { ignoreUndefined: true }))).then(() => {
    unsent -= 1;
  });
}

// Requests, and who waits for their replies. Other frames may come in between.
const waiting = new Map();
let lastId = 0;

function request(method, fields) {
  const frame = { id: (lastId += 1), method, ...fields };
  say("request", frame);
  return new Promise((resolve) => waiting.set(frame.id, { frame, resolve }));
}

async function subscribe() {
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

// Another supervisor knows neither our subscription nor what we had asked the one before.
let supervisor;

function meet(id) {
  const isAnother = supervisor !== undefined && supervisor !== id;
  supervisor = id;
  if (!isAnother) return;
  for (const { frame } of waiting.values()) say("request", frame); // safe to ask twice: see `answer`
  void subscribe();
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
      meet(frame.supervisor_id);
      break;
    case "error":
      console.error(`${frame.code}: ${frame.message}`);
      break;
    // Later versions may send other kinds: a client ignores what it does not know.
  }
}

const pinging = setInterval(() => {
  if (unsent === 0) say("ping", {});
}, PING_MS);

async function stop() {
  clearInterval(pinging);
  // Take leave, so that others of this subscription get our chats now and not when we count as crashed.
  const left = request("events.unsubscribe", { params: { subscription: NAME } });
  await Promise.race([left, new Promise((resolve) => setTimeout(resolve, 1000))]);
  socket.close();
}

process.once("SIGINT", stop);
process.once("SIGTERM", stop);

say("ping", {});
void subscribe();
for await (const [frame] of socket) read(decode(frame));
