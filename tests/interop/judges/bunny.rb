# Bunny: confirms, returns, consumers, settling, exchanges, errors, and recovery after a kill.
require 'bunny'
require 'logger'
require 'timeout'

ADDRESS = { host: ENV.fetch('HOST'), port: Integer(ENV.fetch('PORT')),
            automatically_recover: false, log_level: Logger::FATAL,
            logger: Logger.new(File::NULL) }.freeze
SECONDS_MAX = 40
$passed = 0
$failed = 0

class Wrong < StandardError; end

def equal(wanted, found)
  raise Wrong, "wanted #{wanted.inspect}, found #{found.inspect}" unless wanted == found
end

# The next that a thread has put there.
def take(queue, seconds = 10)
  Timeout.timeout(seconds, Wrong, 'nothing came') { queue.pop }
end

# The error of a class that an act ends with.
def refused(kind)
  yield
rescue kind => error
  error
else
  raise Wrong, 'it was done'
end

def check(name, connects: true)
  connection = Bunny.new(ADDRESS).start if connects
  Timeout.timeout(SECONDS_MAX) { yield connection }
  $passed += 1
  puts "ok bunny #{name}"
rescue StandardError, Timeout::Error => error
  $failed += 1
  puts "FAIL bunny #{name}: #{error.class} #{error.message.lines.first}"
ensure
  connection&.close if connection&.open?
end

# Takes one message with a get, waiting for it.
def got(queue)
  500.times do
    delivery, properties, body = queue.pop
    return [delivery, properties, body] if delivery
    sleep 0.01
  end
  raise Wrong, 'nothing came'
end

check 'properties and headers' do |connection|
  channel = connection.create_channel
  queue = channel.temporary_queue
  headers = { 'n' => 5, 'big' => 2**40, 'low' => -3, 'text' => 'x', 'yes' => true, 'half' => 0.5,
              'time' => Time.at(1234567890), 'nothing' => nil,
              'inner' => { 'list' => [1, 'two', { 'x' => false }] } }
  queue.publish("\x00\xFF\xFE".b, headers: headers, content_type: 'a/b', priority: 3,
                persistent: true, correlation_id: 'c', reply_to: 'r', expiration: '60000',
                message_id: 'm', type: 't', app_id: 'a', user_id: 'guest',
                timestamp: 1234567890)
  _, properties, body = got(queue)
  equal "\x00\xFF\xFE".b, body.b
  equal headers, properties[:headers]
  equal ['a/b', 3, 2, 'c', 'r', '60000', 'm', 't', 'a', 'guest', Time.at(1234567890)],
        properties.to_hash.values_at(:content_type, :priority, :delivery_mode, :correlation_id,
                                     :reply_to, :expiration, :message_id, :type, :app_id,
                                     :user_id, :timestamp)
  equal [nil, nil, nil], queue.pop
end

check 'bodies at the edges of a frame' do |connection|
  channel = connection.create_channel
  channel.confirm_select
  queue = channel.temporary_queue
  frame = connection.frame_max - 8
  [0, 1, frame - 1, frame, frame + 1, 2 * frame + 1, 5_000_000].each do |size|
    body = Random.new(size).bytes(size)
    queue.publish(body)
    channel.wait_for_confirms
    equal true, body == got(queue)[2].b
  end
end

check 'a thousand confirms' do |connection|
  channel = connection.create_channel
  channel.confirm_select
  queue = channel.temporary_queue
  1000.times { |n| queue.publish(n.to_s) }
  equal true, channel.wait_for_confirms
  equal 1000, queue.message_count
  equal [], channel.nacked_set.to_a
end

check 'a refused publish is nacked' do |connection|
  channel = connection.create_channel
  channel.confirm_select
  queue = channel.queue('', exclusive: true, arguments: { 'x-max-length' => 1,
                                                          'x-overflow' => 'reject-publish' })
  2.times do
    queue.publish('x')
    channel.wait_for_confirms
  end
  equal [2], channel.nacked_set.to_a
end

check 'a return' do |connection|
  channel = connection.create_channel
  back = Queue.new
  exchange = channel.fanout('bunny.alone', auto_delete: true)
  exchange.on_return { |info, _, body| back << [info.reply_code, body] }
  exchange.publish('x', mandatory: true)
  equal [312, 'x'], take(back)
end

check 'consume with prefetch, in order' do |connection|
  channel = connection.create_channel
  channel.prefetch(7)
  queue = channel.temporary_queue
  found = Queue.new
  queue.subscribe(manual_ack: true) do |delivery, _, body|
    channel.ack(delivery.delivery_tag)
    found << Integer(body)
  end
  500.times { |n| queue.publish(n.to_s) }
  equal((0...500).to_a, Array.new(500) { take(found) })
end

check 'nack, reject and recover' do |connection|
  channel = connection.create_channel
  queue = channel.temporary_queue
  found = Queue.new
  queue.subscribe(manual_ack: true) do |delivery, _, body|
    found << [delivery.delivery_tag, delivery.redelivered?, body]
  end
  queue.publish('a')
  equal [1, false, 'a'], take(found)
  channel.nack(1, false, true)
  equal [2, true, 'a'], take(found)
  channel.reject(2, true)
  equal [3, true, 'a'], take(found)
  channel.recover
  equal [4, true, 'a'], take(found)
  channel.reject(4, false)
  equal 0, queue.message_count
end

check 'deleting a queue cancels its consumer' do |connection|
  channel = connection.create_channel
  queue = channel.temporary_queue
  cancelled = Queue.new
  consumer = Bunny::Consumer.new(channel, queue)
  consumer.on_cancellation { |method| cancelled << method.class.name }
  queue.subscribe_with(consumer)
  queue.delete
  equal 'basic.cancel', take(cancelled)
end

check 'exchanges of all kinds, and one behind another' do |connection|
  channel = connection.create_channel
  behind = channel.fanout('bunny.behind', auto_delete: true)
  all = channel.temporary_queue.bind(behind)
  %w[direct fanout topic headers].each do |kind|
    exchange = Bunny::Exchange.new(channel, kind.to_sym, "bunny.#{kind}", auto_delete: true)
    binding = { routing_key: kind == 'topic' ? 'a.#' : 'a.b',
                arguments: { 'x-match' => 'all', 'h' => 1 } }
    queue = channel.temporary_queue.bind(exchange, binding)
    behind.bind(exchange, binding)
    exchange.publish(kind, routing_key: 'a.b', headers: { 'h' => 1 })
    equal [kind, kind], [got(queue)[2], got(all)[2]]
    behind.unbind(exchange, binding)
    queue.unbind(exchange, binding)
  end
end

check 'channel errors spare the connection' do |connection|
  error = refused(Bunny::NotFound) { connection.create_channel.queue('bunny.no', passive: true) }
  equal "NOT_FOUND - no queue 'bunny.no' in vhost '/'", error.message
  connection.create_channel.queue('bunny.unequal', exclusive: true)
  error = refused(Bunny::PreconditionFailed) do
    connection.create_channel.queue('bunny.unequal', exclusive: true,
                                    arguments: { 'x-max-length' => 3 })
  end
  equal "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'bunny.unequal' in " \
        "vhost '/'", error.message.split(':').first
  refused(Bunny::AccessRefused) { connection.create_channel.queue('amq.mine') }
  other = Bunny.new(ADDRESS).start
  refused(Bunny::ResourceLocked) { other.create_channel.queue('bunny.unequal', passive: true) }
  other.close
  connection.create_channel.temporary_queue
end

check 'dead letters' do |connection|
  channel = connection.create_channel
  dead = channel.queue('bunny.dead', exclusive: true)
  queue = channel.queue('', exclusive: true, arguments: {
    'x-message-ttl' => 30, 'x-dead-letter-exchange' => '',
    'x-dead-letter-routing-key' => dead.name })
  queue.publish('x')
  death = got(dead)[1][:headers]['x-death'].first
  equal [queue.name, 'expired', 1], death.values_at('queue', 'reason', 'count')
end

check 'transactions' do |connection|
  channel = connection.create_channel
  queue = channel.temporary_queue
  channel.tx_select
  queue.publish('never')
  channel.tx_rollback
  queue.publish('kept')
  channel.tx_commit
  equal 'kept', got(queue)[2]
  equal nil, queue.pop[2]
end

check 'requests and direct replies' do |connection|
  channel = connection.create_channel
  queue = channel.temporary_queue
  queue.subscribe do |_, properties, body|
    channel.default_exchange.publish("re: #{body}", routing_key: properties.reply_to)
  end
  replies = Queue.new
  channel.basic_consume('amq.rabbitmq.reply-to', '', true) { |_, _, body| replies << body }
  queue.publish('ask', reply_to: 'amq.rabbitmq.reply-to')
  equal 're: ask', take(replies)
end

check 'purge, counts and deletes' do |connection|
  channel = connection.create_channel
  channel.confirm_select
  queue = channel.queue('bunny.counts', auto_delete: true)
  5.times { queue.publish('x') }
  channel.wait_for_confirms
  equal({ message_count: 5, consumer_count: 0 }, queue.status)
  equal true, connection.queue_exists?('bunny.counts')
  queue.purge
  equal 0, queue.message_count
  equal 0, queue.delete(if_unused: true, if_empty: true).message_count
  equal false, connection.queue_exists?('bunny.counts')
  equal true, connection.exchange_exists?('amq.topic')
end

check '200 channels, and heartbeats of one second', connects: false do
  own = Bunny.new(ADDRESS.merge(heartbeat: 1)).start
  equal 1, own.heartbeat
  channels = Array.new(200) { own.create_channel }
  channels.each(&:temporary_queue)
  sleep 4
  equal 'again', channels.last.temporary_queue.tap { |q| q.publish('again') }.then { |q| got(q)[2] }
  own.close
end

check 'a wrong password, a wrong virtual host', connects: false do
  refused(Bunny::AuthenticationFailureError) { Bunny.new(ADDRESS.merge(pass: 'no')).start }
  refused(Bunny::NotAllowedError) { Bunny.new(ADDRESS.merge(vhost: 'bunny.none')).start }
end

check 'connection, queues and consumers come back after a kill', connects: false do
  recovered = Queue.new
  own = Bunny.new(ADDRESS.merge(automatically_recover: true, network_recovery_interval: 0.2,
                                recovery_completed: -> { recovered << 'recovered' })).start
  channel = own.create_channel
  channel.confirm_select
  kept = channel.queue('bunny.kept', durable: true)
  100.times { kept.publish('x', persistent: true) }
  equal true, channel.wait_for_confirms
  reading = own.create_channel
  found = Queue.new
  reading.temporary_queue.bind('amq.fanout').subscribe { |_, _, body| found << body }
  equal true, system('python3', "#{ENV.fetch('INTEROP')}/lib.py", 'restart',
                     ENV.fetch('BROKER_DIR'))
  equal 'recovered', take(recovered, 20)
  equal 100, kept.message_count
  channel.fanout('amq.fanout', durable: true).publish('again')
  equal 'again', take(found)
  kept.delete
  own.close
end

puts "#{$passed} passed, #{$failed} failed"
exit $failed.zero?
