// Upstream's state package (a database of TanStack's over a stream of changes) against ursulad.
import { DurableStream } from "@durable-streams/client"
import { createStateSchema } from "@durable-streams/state"
import { createStreamDB } from "@durable-streams/state/db"
import { expect, test } from "vitest"

const base = process.env.URSULA_URL
const anything = { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } }
const state = createStateSchema({
  users: { schema: anything, type: "user", primaryKey: "id" },
})

test.each([true, "sse", "long-poll"])("a database follows its stream, live: %s", async (live) => {
  const url = `${base}/v1/stream/state-${process.pid}-${live}`
  const stream = await DurableStream.create({ url, contentType: "application/json" })
  const change = (event) => stream.append(JSON.stringify(event))
  await change(state.users.insert({ value: { id: "1", name: "a" } }))
  await change(state.users.insert({ value: { id: "2", name: "b" } }))
  const events = []
  const db = createStreamDB({
    streamOptions: { url, contentType: "application/json" },
    state,
    live,
    onEvent: (event) => events.push(event),
  })
  await db.preload()
  expect(db.collections.users.size).toBe(2)
  await change(state.users.update({ value: { id: "1", name: "c" }, headers: { txid: "first" } }))
  await db.utils.awaitTxId("first", 600_000)
  expect(db.collections.users.get("1").name).toBe("c")
  await change(state.users.delete({ key: "2", headers: { txid: "second" } }))
  await db.utils.awaitTxId("second", 600_000)
  expect(db.collections.users.size).toBe(1)
  // Messages come back as they were sent: with no offset put into them (docs/decisions/0033).
  expect(events.length).toBeGreaterThanOrEqual(4)
  for (const event of events) expect(event.headers.offset).toBe(undefined)
  db.close()
})
