// Upstream's own client against ursulad, on both URL forms: what an application does all day.
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
import { beforeAll, describe, expect, test } from "vitest"

const base = process.env.URSULA_URL
let count = 0
const fresh = (form) => `${base}/${form}/client-${process.pid}-${++count}`

const take = async (url, offset, live, messages) => {
  const stop = new AbortController()
  const response = await stream({ url, offset, live, signal: stop.signal })
  const got = []
  for await (const item of response.jsonStream()) {
    got.push(item)
    if (got.length === messages) break
  }
  const next = response.offset
  stop.abort()
  return { got, next }
}

beforeAll(async () => {
  const made = await fetch(`${base}/clients`, { method: "PUT" })
  expect([200, 201]).toContain(made.status)
})

describe.each(["v1/stream", "clients"])("client on /%s", (form) => {
  const create = (type = "application/json", more = {}) =>
    DurableStream.create({ url: fresh(form), contentType: type, ...more })

  test("creates, appends and reads JSON", async () => {
    const handle = await create()
    await handle.append(JSON.stringify({ n: 1 }))
    await handle.append(JSON.stringify({ n: 2 }))
    const response = await stream({ url: handle.url, offset: "-1", live: false })
    expect(await response.json()).toEqual([{ n: 1 }, { n: 2 }])
    expect(response.upToDate).toBe(true)
  })

  test("resumes from the offset it was given", async () => {
    const handle = await create("text/plain")
    await handle.append("one ")
    const first = await stream({ url: handle.url, offset: "-1", live: false })
    expect(await first.text()).toBe("one ")
    await handle.append("two")
    const second = await stream({ url: handle.url, offset: first.offset, live: false })
    expect(await second.text()).toBe("two")
  })

  test.each(["long-poll", "sse"])("follows live by %s", async (live) => {
    const handle = await create()
    await handle.append(JSON.stringify("before"))
    const following = take(handle.url, "-1", live, 3)
    await handle.append(JSON.stringify("during"))
    await handle.append(JSON.stringify("after"))
    const { got } = await following
    expect(got).toEqual(["before", "during", "after"])
  })

  test("idempotent producer writes each message once, in order", async () => {
    const handle = await create()
    const producer = new IdempotentProducer(handle, "writer", { autoClaim: true })
    const sent = Array.from({ length: 200 }, (_, n) => ({ n }))
    for (const message of sent) producer.append(JSON.stringify(message))
    await producer.flush()
    const response = await stream({ url: handle.url, offset: "-1", live: false })
    expect(await response.json()).toEqual(sent)
    await producer.detach()
  })

  test("a reader of a closed stream ends by itself", async () => {
    const handle = await create("text/plain")
    await handle.append("all")
    await handle.close()
    const response = await stream({ url: handle.url, offset: "-1", live: "long-poll" })
    expect(await response.text()).toBe("all")
    expect(response.streamClosed).toBe(true)
  })

  // docs/PROTOCOL.md, "504": the answer is lost though the append was applied.
  const losing = () => {
    let lost = 0
    const unreliable = async (input, init) => {
      const response = await fetch(input, init)
      if (init?.method !== "POST" || lost > 0) return response
      lost += 1
      return new Response('{"error":{"code":"OUTCOME_UNKNOWN"}}', { status: 504 })
    }
    return { unreliable, lost: () => lost }
  }

  test("after a 504 a plain append is sent again, and may stand twice", async () => {
    const { unreliable, lost } = losing()
    const url = fresh(form)
    await DurableStream.create({ url, contentType: "text/plain" })
    const handle = new DurableStream({ url, contentType: "text/plain", fetch: unreliable })
    await handle.append("x")
    expect(lost()).toBe(1)
    const response = await stream({ url, offset: "-1", live: false })
    expect(await response.text()).toBe("xx")
  })

  test("after a 504 a repeated producer sequence stands once", async () => {
    const url = fresh(form)
    await DurableStream.create({ url, contentType: "text/plain" })
    const headers = { "Content-Type": "text/plain", "Producer-Id": "p", "Producer-Epoch": "0",
                      "Producer-Seq": "0" }
    const { unreliable } = losing()
    const first = await unreliable(url, { method: "POST", body: "x", headers })
    expect(first.status).toBe(504)
    const again = await unreliable(url, { method: "POST", body: "x", headers })
    expect(again.status).toBe(204)
    const response = await stream({ url, offset: "-1", live: false })
    expect(await response.text()).toBe("x")
  })
})
