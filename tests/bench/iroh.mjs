// tests/bench/iroh.mjs - one stream through iroh: MB one way.  SPDX-License-Identifier: Apache-2.0
//   node iroh.mjs server ADDRESS | node iroh.mjs client ADDRESS MB
// The two talk in JSON lines on standard input and output; tests/bench/bench passes them on.
// The binding turns every byte into a JavaScript array element, so the client first queues everything
// natively (the receiver does not read yet), then the receiver drains natively and the sender
// times until all is acknowledged.  No JavaScript runs per byte inside the timed window.
import fs from 'node:fs'
import readline from 'node:readline'
import { createRequire } from 'node:module'

const iroh = createRequire(process.cwd() + '/')('@number0/iroh')
const [role, address, megabytes] = process.argv.slice(2)
const protocol = Array.from(Buffer.from('bench/0'))
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const CHUNK = 16 << 20
const tell = (o) => process.stdout.write(JSON.stringify(o) + '\n')
const hear = async () => JSON.parse((await lines.next()).value)
const cpu = (pid) => {
  const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
  const f = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(f[11]) + Number(f[12])) / 100
}

const builder = iroh.Endpoint.builder()
iroh.presetMinimal(builder)
builder.relayMode(iroh.RelayMode.disabled())
if (role === 'server') builder.alpns([protocol])
builder.bindAddr(address + ':0')
const endpoint = globalThis.keepEndpoint = await builder.bind()

if (role === 'server') {
  tell({ id: endpoint.id().toString(), addresses: endpoint.boundSockets().filter((s) => s.startsWith(address)), pid: process.pid })
  const connection = await (await (await endpoint.acceptNext()).accept()).connect()
  const stream = await connection.acceptUni()
  tell({ accepted: true })
  const go = await hear()
  stream.readToEnd(go.size).then(() => {}, () => {})
  await new Promise(() => {})
} else {
  const server = await hear()
  const size = Math.ceil(Number(megabytes) * 1048576 / CHUNK) * CHUNK
  const connection = globalThis.keepConnection = await endpoint.connect(
    new iroh.EndpointAddr(iroh.EndpointId.fromString(server.id), null, server.addresses), protocol)
  const stream = await connection.openUni()
  const block = new Array(CHUNK).fill(0x5a)
  const writes = []
  for (let at = 0; at < size; at += CHUNK) writes.push(stream.writeAll(block))
  await hear()
  await new Promise((resolve) => setTimeout(resolve, 500))
  const before = cpu(server.pid) + cpu(process.pid)
  const started = process.hrtime.bigint()
  tell({ size: size + 1 })
  await Promise.all(writes)
  await stream.finish()
  await stream.stopped()
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  tell({ result: { bytes: size, seconds, gbit_s: size * 8e-9 / seconds, cpu_s: cpu(server.pid) + cpu(process.pid) - before } })
  process.exit(0)
}
