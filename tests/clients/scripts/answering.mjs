// Lines of JSON in, lines of JSON out (tests/clients/talking.py), for the scripts beside this one.
import { createInterface } from "node:readline";
import { EventSource } from "eventsource";

export const authorization = ({ user, password }) =>
  "Basic " + Buffer.from(`${user}:${password}`).toString("base64");

// Does what it is told, in order; `told` has a function for each word.
export async function answer(told) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: word, ...words } = JSON.parse(line);
    let said;
    try {
      said = { ok: (await told[word](words)) ?? null };
    } catch (error) {
      said = { error: String(error.stack ?? JSON.stringify(error)) };
    }
    process.stdout.write(JSON.stringify(said) + "\n");
  }
  process.exit(0);
}

// The EventSource of npm, with the header that a browser's would have from its session.
export const sourceWith = (header) =>
  class extends EventSource {
    constructor(url) {
      const signed = (to, init) =>
        fetch(to, { ...init, headers: { ...init.headers, Authorization: header } });
      super(url, { fetch: signed });
    }
  };

// Keeps the state changes of a source until each is asked for.
export class Ear {
  events = [];
  waiting = null;

  constructor(source, account) {
    this.source = source;
    this.opened = new Promise((resolve) => (source.onopen = () => resolve()));
    source.addEventListener("state", ({ data, lastEventId }) => {
      const email = JSON.parse(data).changed[account]?.Email ?? null;
      this.events.push({ id: lastEventId, email });
      this.waiting?.();
    });
  }

  async hear() {
    while (!this.events.length) await new Promise((resolve) => (this.waiting = resolve));
    return this.events.shift();
  }
}
