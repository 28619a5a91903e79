// Templates, volumes and secrets.
import assert from 'node:assert/strict'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { BuildError, Sandbox, Secret, Template, Volume, waitForFile } from 'e2b'

const name = `js-${Date.now()}`
const fileContextPath = await mkdtemp(path.join(tmpdir(), 'nexus-'))
await writeFile(path.join(fileContextPath, 'note.txt'), 'from the host')

const said = []
const template = Template({ fileContextPath })
  .fromImage('debian:12')
  .setEnvs({ STAGE: 'test' })
  .copy('note.txt', '/srv/note.txt')
  .runCmd('echo "stage $STAGE" > /tmp/stage')
  .setStartCmd('touch /tmp/started; sleep 600', waitForFile('/tmp/started'))
const built = await Template.build(template, `${name}:one`, { cpuCount: 1, memoryMB: 512, onBuildLogs: (entry) => void said.push(entry.message) })
assert.ok(said.some((message) => message.includes('RUN echo')))
assert.equal(await Template.exists(name), true)
await Template.assignTags(`${name}:one`, ['stable'])
const sandbox = await Sandbox.create(`${name}:stable`)
try {
  assert.equal(await sandbox.files.read('/srv/note.txt'), 'from the host')
  assert.equal(await sandbox.files.read('/tmp/stage'), 'stage test\n')
} finally {
  await sandbox.kill()
}
await Template.removeTags(name, 'stable')
assert.deepEqual((await Template.getTags(name)).map((item) => item.tag), ['one'])
await assert.rejects(Template.build(Template().fromTemplate(`${name}:one`).runCmd('exit 9'), `${name}-bad`), (error) => {
  assert.ok(error instanceof BuildError)
  return /exit status 9/.test(error.message)
})
assert.equal(await Sandbox.deleteSnapshot(built.templateId), true)

const volume = await Volume.create(name)
try {
  await volume.writeFile('/a/b.txt', 'kept', { force: true, mode: 0o600 })
  assert.equal(await volume.readFile('/a/b.txt'), 'kept')
  assert.equal((await volume.getInfo('/a/b.txt')).mode, 0o600)
  const mounting = await Sandbox.create('base', { volumeMounts: { '/mnt/data': volume } })
  try {
    assert.equal((await mounting.commands.run('sudo cat /mnt/data/a/b.txt')).stdout, 'kept')
  } finally {
    await mounting.kill()
  }
} finally {
  assert.equal(await Volume.destroy(volume.volumeId), true)
}

const secret = await Secret.create(name, 'hidden', { metadata: { of: 'tests' } })
assert.equal((await Secret.update(name, 'changed')).version, 2)
assert.equal((await Secret.getInfo(secret.secretId)).name, name)
assert.equal(await Secret.destroy(name), true)
assert.equal(await Secret.exists(name), false)
