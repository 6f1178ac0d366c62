// Runs the npm reference server, @durable-streams/server.
//
// usage: reference_server.mjs PORT [DATA_DIR]     (without DATA_DIR: in memory)
import { DurableStreamTestServer } from "@durable-streams/server"

const [port, dataDir] = process.argv.slice(2)
const server = new DurableStreamTestServer({ port: Number(port), host: "127.0.0.1", dataDir })
await server.start()
console.log(`listening on http://127.0.0.1:${port}`)
process.on("SIGTERM", async () => {
  await server.stop()
  process.exit(0)
})
