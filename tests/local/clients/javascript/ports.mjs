// Ports of sandboxes by the names of getHost: http, https with checked certificates, upgrades, tokens and refusals.
import assert from 'node:assert/strict'
import { eventually, request, withSandbox } from './checking.mjs'

const echo = `
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get('Upgrade'):
            self.wfile.write(b'HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n')
            self.wfile.write(self.rfile.readline().upper())
            return
        content = self.headers['Host'].encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)
http.server.ThreadingHTTPServer(('', 8080), Handler).serve_forever()
`

await withSandbox({ network: { allowPublicTraffic: false } }, async (sandbox) => {
  await sandbox.files.write('echo.py', echo)
  await sandbox.commands.run('python3 echo.py', { background: true })
  const host = sandbox.getHost(8080)
  assert.match(host, new RegExp(`^8080-${sandbox.sandboxId}\\.localhost:\\d+$`))
  const headers = { 'e2b-traffic-access-token': sandbox.trafficAccessToken }

  await eventually(async () => (await request(`https://${host}/`, { headers })).status === 200)
  for (const scheme of ['http', 'https']) {
    assert.deepEqual(await request(`${scheme}://${host}/`, { headers }), { status: 200, text: host })
    assert.equal((await request(`${scheme}://${host}/`)).status, 403)
    const upgrade = { headers: { ...headers, Connection: 'Upgrade', Upgrade: 'websocket' } }
    const { status, socket, head } = await request(`${scheme}://${host}/`, upgrade)
    assert.equal(status, 101)
    socket.write('shout\n')
    let heard = head.toString()
    for await (const piece of socket) heard += piece
    assert.equal(heard, 'SHOUT\n')
  }

  const closed = await request(`https://${sandbox.getHost(9999)}/`, { headers })
  assert.equal(closed.status, 502)
  assert.match(closed.text, /port is not open/)
  await sandbox.kill()
  assert.match((await request(`https://${host}/`, { headers })).text, /The sandbox was not found/)
})
