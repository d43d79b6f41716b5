// tests/bench/forward.mjs - TCP ports through iroh or hyperdht, as forward + expose do.  SPDX-License-Identifier: Apache-2.0
//   node forward.mjs iroh|hyperdht server ADDRESS PORT...        prints one JSON line, for the client
//   node forward.mjs iroh|hyperdht client ADDRESS PORT... JSON   listens on 127.0.0.1
// ADDRESS "any" binds to all. One stream for each TCP connection. iroh's binding makes an array
// element of every byte, so that its bulk is measured otherwise (iroh.mjs).
import net from 'node:net'
import { createRequire } from 'node:module'

const require = createRequire(process.cwd() + '/')
const [kind, role, address, ...rest] = process.argv.slice(2)
const server = role === 'client' ? JSON.parse(rest.pop()) : null
const ports = rest.map(Number)
const tell = (o) => process.stdout.write(JSON.stringify(o) + '\n')
const listen = (port, each) => net.createServer({ noDelay: true }, each).listen(port, '127.0.0.1')
const dial = (port) => net.connect({ port, host: '127.0.0.1', noDelay: true })

async function hyperdht () {
  const DHT = require('hyperdht')
  const join = (a, b) => {
    a.pipe(b)
    b.pipe(a)
    for (const [x, y] of [[a, b], [b, a]]) x.on('error', () => y.destroy()).on('close', () => y.destroy())
  }
  if (role === 'server') {
    const net3 = await require('hyperdht/testnet.js')(3, { host: address })
    const dht = new DHT({ bootstrap: net3.bootstrap, host: address, ephemeral: false, firewalled: false })
    await dht.fullyBootstrapped()
    const keys = {}
    for (const port of ports) {
      const pair = DHT.keyPair()
      await dht.createServer((stream) => join(stream, dial(port))).listen(pair)
      keys[port] = pair.publicKey.toString('hex')
    }
    tell({ keys, bootstrap: net3.bootstrap, relays: [{ host: address, port: dht.address().port }] })
  } else {
    const dht = new DHT({ bootstrap: server.bootstrap, firewalled: false, ...(address === 'any' ? {} : { host: address }) })
    await dht.fullyBootstrapped()
    for (const port of ports) {
      const key = Buffer.from(server.keys[port], 'hex')
      listen(port, (socket) => join(socket, dht.connect(key, { relayAddresses: server.relays })))
    }
  }
}

async function iroh () {
  const lib = require('@number0/iroh')
  const protocol = Array.from(Buffer.from('forward/0'))
  const builder = lib.Endpoint.builder()
  lib.presetMinimal(builder)
  builder.relayMode(lib.RelayMode.disabled())
  if (role === 'server') builder.alpns([protocol])
  builder.bindAddr((address === 'any' ? '0.0.0.0' : address) + ':0')
  const endpoint = globalThis.keepEndpoint = await builder.bind()
  const join = (socket, { send, recv }) => {
    socket.on('error', () => {})
    const up = async () => {
      for await (const data of socket) await send.writeAll(Array.from(data))
      await send.finish()
    }
    const down = async () => {
      for (;;) {
        const data = await recv.read(65536)
        if (!data || !data.length) break
        if (!socket.write(Buffer.from(data))) await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve))
      }
      socket.end()
    }
    for (const way of [up, down]) way().catch(() => socket.destroy())
  }
  if (role === 'server') {
    tell({ id: endpoint.id().toString(), addresses: endpoint.boundSockets().filter((s) => s.startsWith(address)) })
    for (;;) {
      const connection = await (await (await endpoint.acceptNext()).accept()).connect()
      ;(async () => {
        for (;;) {
          const stream = await connection.acceptBi()
          const [high, low] = await stream.recv.readExact(2)
          join(dial(high * 256 + low), stream)
        }
      })().catch(() => {})
    }
  }
  const connection = globalThis.keepConnection = await endpoint.connect(
    new lib.EndpointAddr(lib.EndpointId.fromString(server.id), null, server.addresses), protocol)
  for (const port of ports) {
    listen(port, async (socket) => {
      try {
        const stream = await connection.openBi()
        await stream.send.writeAll([port >> 8, port & 255])
        join(socket, stream)
      } catch { socket.destroy() }
    })
  }
}

process.on('uncaughtException', () => {})
await (kind === 'iroh' ? iroh() : hyperdht())
