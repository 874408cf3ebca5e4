// Uses jmap-jam as it is told.
import { readFileSync, writeFileSync } from "node:fs";
import { JamClient } from "jmap-jam";
import { answer, authorization, Ear, sourceWith } from "./answering.mjs";

let jam, accountId, ear;

async function mailbox(name) {
  const [{ ids }] = await jam.api.Mailbox.query({ accountId, filter: { name } });
  return ids[0];
}

async function set(words) {
  const [done] = await jam.api.Email.set({ accountId, ...words });
  for (const part of ["notCreated", "notUpdated"])
    if (done[part] && Object.keys(done[part]).length) throw done[part];
  return done;
}

// A query and what it found, in one request with a reference.
async function get(filter, limit) {
  const [{ emails }] = await jam.requestMany((t) => {
    const sort = [{ property: "receivedAt", isAscending: false }];
    const found = t.Email.query({ accountId, filter, limit, sort });
    const emails = t.Email.get({
      accountId,
      ids: found.$ref("/ids"),
      properties: ["id", "subject", "textBody", "bodyValues"],
      fetchTextBodyValues: true,
    });
    return { found, emails };
  });
  return emails.list;
}

await answer({
  async open({ host, ...who }) {
    const sessionUrl = `https://${host}/.well-known/jmap`;
    const header = authorization(who);
    // The library knows bearer tokens only: its header and its session are put in their place.
    const loaded = JamClient.loadSession(sessionUrl, header);
    jam = new JamClient({ sessionUrl, bearerToken: "" });
    await jam.session.catch(() => {});
    jam.authHeader = header;
    jam.session = loaded;
    globalThis.EventSource = sourceWith(header);
    accountId = await jam.getPrimaryAccount();
    return (await loaded).username;
  },
  async mailboxes() {
    const [{ list }] = await jam.api.Mailbox.get({ accountId });
    return list.map((one) => one.name);
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
    const raw = `From: ${sender}\r\nTo: ${to}\r\nSubject: ${subject}\r\n\r\n${text}\r\n`;
    const { blobId } = await jam.uploadBlob(accountId, raw);
    const [{ created }] = await jam.api.Email.import({
      accountId,
      emails: {
        draft: {
          blobId,
          mailboxIds: { [await mailbox("Drafts")]: true },
          keywords: { $draft: true, $seen: true },
        },
      },
    });
    return created.draft.id;
  },
  async send({ id }) {
    const [{ list }] = await jam.api.Identity.get({ accountId });
    const patch = {
      "keywords/$draft": null,
      [`mailboxIds/${await mailbox("Drafts")}`]: null,
      [`mailboxIds/${await mailbox("Sent")}`]: true,
    };
    const [done] = await jam.api.EmailSubmission.set(
      {
        accountId,
        create: { out: { emailId: id, identityId: list[0].id } },
        onSuccessUpdateEmail: { "#out": patch },
      },
      { using: ["urn:ietf:params:jmap:mail"] },
    );
    if (!done.created?.out) throw done;
  },
  async attach({ mailbox: where, subject, file, name, back }) {
    const type = "text/plain";
    const { blobId } = await jam.uploadBlob(accountId, readFileSync(file));
    const draft = {
      mailboxIds: { [await mailbox(where)]: true },
      subject,
      bodyValues: { text: { value: "See there." } },
      textBody: [{ partId: "text", type }],
      attachments: [{ blobId, type, name, disposition: "attachment" }],
    };
    const { id } = (await set({ create: { draft } })).created.draft;
    const [{ list }] = await jam.api.Email.get({ accountId, ids: [id], properties: ["attachments"] });
    const [{ blobId: stored, name: fileName }] = list[0].attachments;
    const down = await jam.downloadBlob({ accountId, blobId: stored, mimeType: type, fileName });
    writeFileSync(back, Buffer.from(await down.arrayBuffer()));
  },
  async search({ text }) {
    return (await get({ text })).map((email) => email.subject);
  },
  async listen() {
    const source = await jam.connectEventSource({ types: "*", ping: 0 });
    ear = new Ear(source, accountId);
    await ear.opened;
  },
  hear: () => ear.hear(),
});
