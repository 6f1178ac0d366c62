// Starts ursulad, runs vitest against it, compares the outcome with pending.txt. See `run`.
import { spawn } from "node:child_process"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

import { startServer } from "./server.mjs"

const here = path.dirname(fileURLToPath(import.meta.url))
const longPollTimeoutMs = 500

const { values: options, positionals: serverArgs } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "string" },
    url: { type: "string" },
    file: { type: "string" },
    pending: { type: "string", default: path.join(here, "pending.txt") },
  },
})

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "ursula-conformance-"))

const server = () => startServer(
  [
    "--data-dir", path.join(scratch, "data"),
    "--long-poll-timeout-ms", String(longPollTimeoutMs),
    ...serverArgs,
  ],
  path.join(scratch, "server.log"))

function runVitest(url) {
  const report = path.join(scratch, "vitest.json")
  const args = [
    path.join(here, "node_modules/vitest/vitest.mjs"), "run", "--root", here,
    "--reporter=json", `--outputFile=${report}`,
    ...(options.file ? [options.file] : []),
  ]
  const env = {
    ...process.env,
    URSULA_URL: url,
    URSULA_LONG_POLL_TIMEOUT_MS: String(longPollTimeoutMs),
  }
  const log = path.join(scratch, "vitest.log")
  const out = fs.openSync(log, "w")
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", out, out], env })
    child.on("exit", () => {
      if (fs.existsSync(report)) return resolve(JSON.parse(fs.readFileSync(report, "utf8")))
      process.stdout.write(fs.readFileSync(log, "utf8"))
      resolve({ testResults: [] })
    })
  })
}

function readPending() {
  const lines = fs.readFileSync(options.pending, "utf8").split("\n")
  return new Set(lines.map((line) => line.trim()).filter((line) => line && !line.startsWith("#")))
}

// Cases are {name, status: passed|failed|pending|skipped, seconds, message}.
function judge(report, pending) {
  const cases = []
  const unseen = new Set(pending)
  for (const file of report.testResults) {
    if (file.status === "failed" && file.assertionResults.length === 0) {
      const name = path.basename(file.name)
      cases.push({ name, status: "failed", seconds: 0, message: file.message })
    }
    for (const test of file.assertionResults) {
      const name = [...test.ancestorTitles, test.title].join(" > ").replaceAll(/\s+/g, " ").trim()
      const seconds = (test.duration ?? 0) / 1000
      let status = test.status === "passed" || test.status === "failed" ? test.status : "skipped"
      let message = test.failureMessages.join("\n")
      if (pending.has(name)) {
        unseen.delete(name)
        if (status === "passed") {
          status = "failed"
          message = "passes, but is listed in pending.txt: remove the line"
        } else if (status === "failed") {
          status = "pending"
        }
      }
      cases.push({ name, status, seconds, message })
    }
  }
  // A run of one file says nothing about the names of the other files.
  for (const name of options.file ? [] : unseen) {
    const message = "pending.txt names a test that does not exist"
    cases.push({ name, status: "failed", seconds: 0, message })
  }
  return cases
}

async function main() {
  const cases = []
  let stop = async () => null
  try {
    const started = options.url ? { url: options.url, stop } : await server()
    stop = started.stop
    cases.push(...judge(await runVitest(started.url), readPending()))
    if (!cases.some((c) => c.status === "passed")) {
      cases.push({ name: "suite", status: "failed", seconds: 0, message: "no test passed" })
    }
  } catch (error) {
    cases.push({ name: "ursulad starts", status: "failed", seconds: 0, message: error.message })
  }
  const complaint = await stop()
  if (complaint) {
    const name = "ursulad stops on SIGTERM with code 0"
    cases.push({ name, status: "failed", seconds: 0, message: `ursulad ${complaint}` })
  }

  for (const c of cases) {
    if (c.status !== "failed") continue
    console.log(`FAILED ${c.name}\n    ${c.message.split("\n").slice(0, 2).join("\n    ")}`)
  }
  const count = (status) => cases.filter((c) => c.status === status).length
  const failed = count("failed")
  const serverLog = path.join(scratch, "server.log")
  if (failed && fs.existsSync(serverLog)) {
    const tail = fs.readFileSync(serverLog, "utf8").trimEnd().split("\n").slice(-20)
    console.log(`last lines of the server's log:\n${tail.join("\n")}`)
  }
  if (options.json) fs.writeFileSync(options.json, JSON.stringify({ cases }))
  fs.rmSync(scratch, { recursive: true, force: true })
  console.log(`conformance: ${count("passed")} passed, ${failed} failed, ${count("pending")} pending`)
  process.exit(failed ? 1 : 0)
}

await main()
