// Upstream's Yjs server and provider over ursulad: documents load and go on through compactions,
// and through a restart of both servers. That server reads at a snapshot's offset + 1, which lies
// inside the next append (docs/PROTOCOL.md, "Offsets").
import fs from "node:fs"
import os from "node:os"
import path from "node:path"

import { YjsProvider } from "@durable-streams/y-durable-streams"
import { YjsServer } from "@durable-streams/y-durable-streams/server"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import * as Y from "yjs"

import { startServer } from "./server.mjs"

const thresholdBytes = 400

describe.each(["sse", "long-poll"])("y-durable-streams by %s", (liveMode) => {
  let scratch
  let ursulad
  let yjs
  const providers = []

  const start = async () => {
    ursulad = await startServer(["--data-dir", path.join(scratch, "data")],
                                path.join(scratch, "server.log"))
    yjs = new YjsServer({ dsServerUrl: ursulad.url, compactionThreshold: thresholdBytes })
    await yjs.start()
  }
  const stop = async () => {
    await Promise.all(providers.splice(0).map(({ provider }) => provider.disconnect()))
    await yjs.stop()
    expect(await ursulad.stop()).toBe(null)
  }

  // A copy of the document of its own; resolves once it has what the server has.
  const open = async () => {
    const doc = new Y.Doc()
    const provider = new YjsProvider({ doc, baseUrl: `${yjs.url}/v1/yjs/notes`, docId: "a/b", liveMode })
    const text = doc.getText("text")
    providers.push({ provider })
    await new Promise((resolve, reject) => {
      provider.on("synced", (synced) => synced && resolve())
      provider.on("error", reject)
    })
    const has = (wanted) => new Promise((resolve) => {
      const look = () => {
        if (text.toString() !== wanted) return
        doc.off("update", look)
        resolve()
      }
      doc.on("update", look)
      look()
    })
    return { text, has }
  }

  // The offset that the newest snapshot is of, or null.
  const snapshot = async () => {
    const response = await fetch(`${yjs.url}/v1/yjs/notes/docs/a/b?offset=snapshot`,
                                 { redirect: "manual" })
    expect(response.status).toBe(307)
    const offset = new URL(response.headers.get("location"), yjs.url).searchParams.get("offset")
    return offset.endsWith("_snapshot") ? offset : null
  }

  let written = ""
  // One update after the other, until the server has made another snapshot.
  const writeUntilCompacted = async ({ text }, reader) => {
    const before = await snapshot()
    for (let n = 0; (await snapshot()) === before; ++n) {
      const line = `line ${n} of ${written.length}\n`
      text.insert(text.length, line)
      written += line
      await reader.has(written)
    }
  }
  const writeSome = async ({ text }, reader) => {
    for (const piece of ["x", "yz", "\u{1f600}"]) {
      text.insert(text.length, piece)
      written += piece
      await reader.has(written)
    }
  }

  beforeAll(async () => {
    scratch = fs.mkdtempSync(path.join(os.tmpdir(), "ursula-yjs-"))
    await start()
  })
  afterAll(async () => {
    await stop()
    fs.rmSync(scratch, { recursive: true, force: true })
  })

  test("a document is whole after each compaction, for those there and those that come", async () => {
    const writer = await open()
    const reader = await open()
    for (let round = 0; round < 3; ++round) {
      await writeUntilCompacted(writer, reader)
      const atSnapshot = await open()
      await atSnapshot.has(written)
      await writeSome(writer, reader)
      const late = await open()
      await late.has(written)
      await writeSome(late, writer)
      await reader.has(written)
    }
  })

  test("and after a restart", async () => {
    await stop()
    await start()
    expect(await snapshot()).not.toBe(null)
    const writer = await open()
    await writer.has(written)
    const reader = await open()
    await writeSome(writer, reader)
    await writeUntilCompacted(reader, writer)
    const late = await open()
    await late.has(written)
  })
})
