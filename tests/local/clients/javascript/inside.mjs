// Commands, terminals, files and watches: what envd serves.
import assert from 'node:assert/strict'
import { CommandExitError, FileNotFoundError, FilesystemEventType } from 'e2b'
import { eventually, withSandbox } from './checking.mjs'

await withSandbox({}, async (sandbox) => {
  const heard = []
  const result = await sandbox.commands.run('echo out; echo err >&2', { onStdout: (piece) => void heard.push(piece) })
  assert.deepEqual([result.stdout, result.stderr, result.exitCode], ['out\n', 'err\n', 0])
  assert.equal(heard.join(''), 'out\n')
  await assert.rejects(sandbox.commands.run('exit 7'), (error) => error instanceof CommandExitError && error.exitCode === 7)

  const cat = await sandbox.commands.run('cat', { background: true, stdin: true })
  await sandbox.commands.sendStdin(cat.pid, 'zwölf\n')
  await eventually(() => cat.stdout === 'zwölf\n')
  assert.equal(await cat.kill(), true)
  assert.equal(await sandbox.commands.kill(999_999), false)

  let screen = ''
  const terminal = await sandbox.pty.create({ cols: 71, rows: 20, onData: (data) => void (screen += new TextDecoder().decode(data)) })
  await sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode('tput cols; exit\n'))
  await terminal.wait()
  assert.match(screen, /71/)

  const info = await sandbox.files.write('folder/text.txt', 'content', { metadata: { made: 'here' } })
  assert.equal(info.path, '/home/user/folder/text.txt')
  assert.deepEqual((await sandbox.files.getInfo('folder/text.txt')).metadata, { made: 'here' })
  assert.deepEqual(await sandbox.files.read('folder/text.txt', { format: 'bytes' }), new TextEncoder().encode('content'))
  assert.equal(await new Response(await sandbox.files.read('folder/text.txt', { format: 'stream' })).text(), 'content')
  await sandbox.files.write([{ path: 'folder/one', data: '1' }, { path: 'folder/two', data: new Blob(['2']) }])
  assert.deepEqual((await sandbox.files.list('folder')).map((entry) => entry.name), ['one', 'text.txt', 'two'])
  assert.equal((await sandbox.files.rename('folder/one', 'folder/three')).name, 'three')
  assert.equal(await sandbox.files.makeDir('folder'), false)
  await sandbox.files.remove('folder/two')
  assert.equal(await sandbox.files.exists('folder/two'), false)
  await assert.rejects(sandbox.files.read('folder/two'), FileNotFoundError)

  const events = []
  const watch = await sandbox.files.watchDir('folder', (event) => void events.push(event), { recursive: true })
  await sandbox.files.write('folder/deep/new.txt', 'x')
  await eventually(() => events.some((event) => event.type === FilesystemEventType.CREATE && event.name === 'deep'))
  await watch.stop()
})

// Links that are good without any header.
await withSandbox({ secure: true }, async (sandbox) => {
  const form = new FormData()
  form.append('file', 'uploaded')
  const upload = await fetch(await sandbox.uploadUrl('sent.txt', { useSignatureExpiration: 60 }), { method: 'POST', body: form })
  assert.equal(upload.status, 200)
  const download = await fetch(await sandbox.downloadUrl('sent.txt', { useSignatureExpiration: 60 }))
  assert.equal(await download.text(), 'uploaded')
  assert.equal((await fetch(await sandbox.downloadUrl('sent.txt', { useSignatureExpiration: -60 }))).status, 401)
})
