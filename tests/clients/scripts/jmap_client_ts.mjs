// Uses jmap-client-ts as it is told.
import jmap from "jmap-client-ts/lib/index.js";
import transports from "jmap-client-ts/lib/utils/fetch-transport.js";
import { answer, authorization, Ear, sourceWith } from "./answering.mjs";

let client, header, ear;
// The library fills in the account where null stands.
const accountId = null;

async function mailbox(name) {
  const { list } = await client.mailbox_get({ accountId, ids: null });
  return list.find((one) => one.name === name).id;
}

async function set(words) {
  const done = await client.email_set({ accountId, ...words });
  for (const part of ["notCreated", "notUpdated"])
    if (done[part] && Object.keys(done[part]).length) throw done[part];
  return done;
}

async function get(filter, limit) {
  const { ids } = await client.email_query({
    accountId, filter, limit, sort: [{ property: "receivedAt", isAscending: false }],
  });
  const properties = ["id", "subject", "textBody", "bodyValues"];
  const got = await client.email_get({ accountId, ids, properties, fetchTextBodyValues: true });
  return got.list;
}

// What the library has no method for, it has `request` for.
const request = (name, words) => client.request(name, { accountId, ...words });

await answer({
  async open({ host, ...who }) {
    header = authorization(who);
    client = new jmap.Client({
      sessionUrl: `https://${host}/.well-known/jmap`,
      transport: new transports.FetchTransport(fetch),
      httpHeaders: { Authorization: header, "Content-Type": "application/json" },
    });
    await client.fetchSession();
    return client.getSession().username;
  },
  async mailboxes() {
    return (await client.mailbox_get({ accountId, ids: null })).list.map((one) => one.name);
  },
  async read() {
    const [email] = await get({ inMailbox: await mailbox("Inbox") }, 1);
    const text = email.bodyValues[email.textBody[0].partId].value;
    return { id: email.id, subject: email.subject, text };
  },
  async flag({ id }) {
    await set({ update: { [id]: { "keywords/$flagged": true } } });
  },
  async move({ id, to }) {
    await set({ update: { [id]: { mailboxIds: { [await mailbox(to)]: true } } } });
  },
  async draft({ sender, to, subject, text }) {
    const draft = {
      mailboxIds: { [await mailbox("Drafts")]: true },
      keywords: { $draft: true, $seen: true },
      from: [{ name: null, email: sender }],
      to: [{ name: null, email: to }],
      subject,
      bodyValues: { text: { value: text } },
      textBody: [{ partId: "text", type: "text/plain" }],
    };
    return (await set({ create: { draft } })).created.draft.id;
  },
  async send({ id }) {
    const { list } = await request("Identity/get", { ids: null });
    const patch = {
      "keywords/$draft": null,
      [`mailboxIds/${await mailbox("Drafts")}`]: null,
      [`mailboxIds/${await mailbox("Sent")}`]: true,
    };
    const done = await client.emailSubmission_set({
      accountId,
      create: { out: { emailId: id, identityId: list[0].id } },
      onSuccessUpdateEmail: { "#out": patch },
    });
    if (!done.created?.out) throw done;
  },
  async search({ text }) {
    return (await get({ text })).map((email) => email.subject);
  },
  async listen() {
    const { eventSourceUrl } = client.getSession();
    const url = eventSourceUrl
      .replace("{types}", "*").replace("{closeafter}", "no").replace("{ping}", "0");
    ear = new Ear(new (sourceWith(header))(url), client.getFirstAccountId());
    await ear.opened;
  },
  hear: () => ear.hear(),
});
