// Starts an ursulad for tests, and stops it.
import { spawn } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"

const here = path.dirname(fileURLToPath(import.meta.url))
const startMsMax = 600_000
const stopMsMax = 600_000

// `log`: the file that its messages go to. Resolves with {url, stop}; stop() resolves with a
// complaint, or null if the server ended well.
export function startServer(args, log) {
  const binary = process.env.URSULAD ?? path.join(here, "../../.bazel/bin/server/ursulad")
  const ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
  // Names that the tests are told by are mistakes to ursulad.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("URSULA_")))
  const messages = fs.openSync(log, "a")
  const server = spawn(binary, [...ports, ...args], { stdio: ["ignore", "pipe", messages], env })
  fs.closeSync(messages)
  const ended = new Promise((resolve) => {
    server.on("error", (error) => resolve(`cannot start: ${error.message}`))
    server.on("exit", (code, signal) => resolve(code === 0 ? null : `ended with ${signal ?? code}`))
  })
  const stop = async () => {
    server.kill("SIGTERM")
    let timer
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve(`did not stop within ${stopMsMax} ms`), stopMsMax)
    })
    const complaint = await Promise.race([ended, late])
    clearTimeout(timer)
    server.kill("SIGKILL")
    return complaint
  }
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`no "listening on" line within ${startMsMax} ms`)), startMsMax)
    ended.then((why) => {
      clearTimeout(timer)
      reject(new Error(`ursulad ${why ?? "ended"} before it listened`))
    })
    let head = ""
    server.stdout.on("data", (chunk) => {
      if (head === null) return
      head += chunk
      const found = /listening on (http:\/\/\S+)/.exec(head)
      if (!found) return
      head = null
      clearTimeout(timer)
      resolve({ url: found[1], stop })
    })
    process.on("exit", () => server.kill("SIGKILL"))
  })
}
