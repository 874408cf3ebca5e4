// Uses imapflow as it is told.
import { readFileSync } from "node:fs";
import { ImapFlow } from "imapflow";
import { answer } from "./answering.mjs";

let client;
const news = [];
let waiting = null;

await answer({
  async open({ host, port, authority, user, password }) {
    client = new ImapFlow({
      host, port, secure: true,
      auth: { user, pass: password },
      tls: { ca: readFileSync(authority) },
      qresync: true,
      logger: false,
    });
    client.on("error", (error) => console.error(error));
    client.on("exists", ({ count }) => {
      news.push([count, "EXISTS"]);
      waiting?.();
    });
    await client.connect();
    return [...client.capabilities.keys()];
  },
  async mailboxes() {
    return (await client.list({ statusQuery: { messages: true } })).map((one) => one.path);
  },
  async read() {
    await client.mailboxOpen("INBOX");
    const wanted = { uid: true, envelope: true, bodyStructure: true, flags: true, source: true };
    const { uid, envelope } = await client.fetchOne("*", wanted);
    const { content } = await client.download(String(uid), "TEXT", { uid: true });
    const parts = [];
    for await (const part of content) parts.push(part);
    return { uid, subject: envelope.subject, text: Buffer.concat(parts).toString() };
  },
  async flag({ uid, flags }) {
    if (!(await client.messageFlagsAdd(String(uid), flags, { uid: true }))) throw "not flagged";
  },
  async move({ uid, to }) {
    const moved = await client.messageMove(String(uid), to, { uid: true });
    if (!moved?.uidMap?.size) throw "not moved";
  },
  async draft({ message }) {
    const { uid } = await client.append("Drafts", message, ["\\Draft", "\\Seen"]);
    if (!uid) throw "no uid";
  },
  async search({ text }) {
    await client.mailboxOpen("INBOX");
    const uids = await client.search({ body: text }, { uid: true });
    const found = await client.fetchAll(uids.join(","), { envelope: true }, { uid: true });
    return found.map(({ envelope }) => envelope.subject);
  },
  listen() {
    news.length = 0;
    client.idle().catch((error) => console.error(error));
  },
  async hear() {
    while (!news.length) await new Promise((resolve) => (waiting = resolve));
    return news.splice(0);
  },
});
