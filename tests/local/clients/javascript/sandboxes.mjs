// Creation, listing, lifetime, pause, snapshot, fork and network settings.
import assert from 'node:assert/strict'
import { Sandbox, SandboxNotFoundError } from 'e2b'
import { eventually, withSandbox } from './checking.mjs'

const mark = `js-${Date.now()}`

await withSandbox({ metadata: { mark, odd: 'a b&c=d/ü' }, envs: { COLOUR: 'green' }, timeoutMs: 120_000 }, async (sandbox) => {
  assert.equal(await sandbox.isRunning(), true)
  const info = await sandbox.getInfo()
  assert.equal(info.sandboxId, sandbox.sandboxId)
  assert.equal(info.metadata.odd, 'a b&c=d/ü')
  assert.ok(info.endAt > info.startedAt)

  const filtered = await Sandbox.list({ query: { metadata: { mark, odd: 'a b&c=d/ü' } } }).nextItems()
  assert.deepEqual(filtered.map((item) => item.sandboxId), [sandbox.sandboxId])

  await sandbox.setTimeout(600_000)
  assert.ok((await sandbox.getInfo()).endAt > info.endAt)

  const counting = await sandbox.commands.run('sleep 600', { background: true })
  await sandbox.pause()
  assert.equal(await sandbox.isRunning(), false)
  const paused = await Sandbox.list({ query: { metadata: { mark }, state: ['paused'] } }).nextItems()
  assert.equal(paused.length, 1)
  const again = await Sandbox.connect(sandbox.sandboxId)
  assert.ok((await again.commands.list()).some((process) => process.pid === counting.pid))
  assert.equal((await again.commands.run('echo $COLOUR')).stdout, 'green\n')

  await sandbox.files.write('state.txt', 'before')
  const [fork] = await sandbox.fork()
  try {
    await fork.files.write('state.txt', 'in the fork')
    assert.equal(await sandbox.files.read('state.txt'), 'before')
  } finally {
    await fork.kill()
  }

  const snapshot = await sandbox.createSnapshot({ name: mark })
  const copy = await Sandbox.create(snapshot.snapshotId)
  try {
    assert.equal(await copy.files.read('state.txt'), 'before')
  } finally {
    await copy.kill()
  }
  assert.ok((await sandbox.listSnapshots().nextItems()).some((item) => item.snapshotId === snapshot.snapshotId))
  assert.equal(await Sandbox.deleteSnapshot(snapshot.snapshotId), true)
  assert.equal(await Sandbox.deleteSnapshot(snapshot.snapshotId), false)

  await sandbox.updateNetwork({ denyOut: ({ allTraffic }) => [allTraffic] })
  await assert.rejects(sandbox.commands.run('curl -s --max-time 5 http://192.0.2.1'))

  const [sample] = await eventually(async () => {
    const samples = await sandbox.getMetrics()
    return samples.length > 0 && samples
  })
  assert.ok(sample.memTotal > 0 && sample.cpuCount > 0)
})

await assert.rejects(Sandbox.getInfo('iunknown'), SandboxNotFoundError)
assert.equal(await Sandbox.kill('iunknown'), false)
