// Shared by the programs of this folder: a sandbox for the time of a block, waiting, and requests to ports by name.
import http from 'node:http'
import https from 'node:https'
import { Sandbox } from 'e2b'

export async function withSandbox(options, work) {
  const sandbox = await Sandbox.create('base', options)
  try {
    return await work(sandbox)
  } finally {
    await sandbox.kill()
  }
}

export async function eventually(look, seconds = 15) {
  for (const end = Date.now() + seconds * 1000; ; ) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${look}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

// Names under localhost are loopback by definition, but not every C library knows; certificates are checked as usual.
const loopback = (_name, options, answer) =>
  options.all ? answer(null, [{ address: '127.0.0.1', family: 4 }]) : answer(null, '127.0.0.1', 4)

export function request(url, options = {}) {
  const { request: start } = url.startsWith('https:') ? https : http
  return new Promise((resolve, reject) => {
    const sent = start(url, { lookup: loopback, agent: false, ...options }, async (response) => {
      const pieces = []
      for await (const piece of response) pieces.push(piece)
      resolve({ status: response.statusCode, text: Buffer.concat(pieces).toString() })
    })
    sent.on('upgrade', (response, socket, head) => resolve({ status: response.statusCode, socket, head }))
    sent.on('error', reject)
    sent.end()
  })
}
