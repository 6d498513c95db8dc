<?php
// php-amqp: publishing, confirms, consuming, settling, exchanges, errors.
declare(strict_types=1);

error_reporting(E_ALL);
$passed = $failed = 0;

class Wrong extends Exception
{
}

function equal(mixed $wanted, mixed $found): void
{
    if ($wanted !== $found) {
        throw new Wrong('wanted ' . json_encode($wanted) . ', found ' . json_encode($found));
    }
}

function connect(array $more = []): AMQPConnection
{
    $connection = new AMQPConnection($more + ['host' => getenv('HOST'),
        'port' => (int) getenv('PORT'), 'read_timeout' => 10]);
    $connection->connect();
    return $connection;
}

function queue(AMQPChannel $channel, array $arguments = []): AMQPQueue
{
    $queue = new AMQPQueue($channel);
    $queue->setFlags(AMQP_EXCLUSIVE);
    $queue->setArguments($arguments);
    $queue->declareQueue();
    return $queue;
}

function exchange(AMQPChannel $channel, string $name = '', string $type = ''): AMQPExchange
{
    $exchange = new AMQPExchange($channel);
    if ($name !== '') {
        $exchange->setName($name);
        $exchange->setType($type);
        $exchange->setFlags(AMQP_AUTODELETE);
        $exchange->declareExchange();
    }
    return $exchange;
}

/** Takes one message with a get, waiting for it. */
function got(AMQPQueue $queue, int $flags = AMQP_AUTOACK): AMQPEnvelope
{
    for ($turn = 0; $turn < 500; $turn++) {
        $found = $queue->get($flags);
        if ($found) {
            return $found;
        }
        usleep(10000);
    }
    throw new Wrong('nothing came');
}

/** The words and the code that an act is refused with. */
function refused(callable $act): string
{
    try {
        $act();
    } catch (AMQPException $error) {
        return $error->getCode() . ' ' . $error->getMessage();
    }
    throw new Wrong('it was done');
}

function begins(string $wanted, string $found): void
{
    if (!str_starts_with($found, $wanted)) {
        throw new Wrong("wanted $wanted, found $found");
    }
}

function check(string $name, callable $check): void
{
    global $passed, $failed;
    try {
        $check(new AMQPChannel(connect()));
        $passed++;
        echo "ok php-amqp $name\n";
    } catch (Throwable $error) {
        $failed++;
        echo "FAIL php-amqp $name: ", $error::class, ' ', strtok($error->getMessage(), "\n"), "\n";
    }
}

check('properties and headers', function (AMQPChannel $channel) {
    $queue = queue($channel);
    $headers = ['n' => 5, 'low' => -3, 'text' => 'x', 'yes' => true, 'half' => 0.5,
        'inner' => ['list' => ['one', 'two']]];
    exchange($channel)->publish("\x00\xFF\xFE", $queue->getName(), AMQP_NOPARAM, [
        'content_type' => 'a/b', 'delivery_mode' => 2, 'priority' => 3, 'correlation_id' => 'c',
        'reply_to' => 'r', 'expiration' => '60000', 'message_id' => 'm', 'type' => 't',
        'app_id' => 'a', 'user_id' => 'guest', 'timestamp' => 1234567890, 'headers' => $headers]);
    $found = got($queue);
    equal("\x00\xFF\xFE", $found->getBody());
    equal($headers, $found->getHeaders());
    equal(['a/b', 2, 3, 'c', 'r', '60000', 'm', 't', 'a', 'guest', 1234567890], [
        $found->getContentType(), $found->getDeliveryMode(), $found->getPriority(),
        $found->getCorrelationId(), $found->getReplyTo(), $found->getExpiration(),
        $found->getMessageId(), $found->getType(), $found->getAppId(), $found->getUserId(),
        (int) (string) $found->getTimestamp()]);
});

check('bodies at the edges of a frame', function (AMQPChannel $channel) {
    $queue = queue($channel);
    $frame = $channel->getConnection()->getMaxFrameSize() - 8;
    foreach ([0, 1, $frame - 1, $frame, $frame + 1, 2 * $frame + 1, 5000000] as $size) {
        $body = $size ? random_bytes($size) : '';
        exchange($channel)->publish($body, $queue->getName());
        equal(true, $body === (string) got($queue)->getBody());
    }
});

check('confirms, nacks and returns', function (AMQPChannel $channel) {
    $queue = queue($channel, ['x-max-length' => 1, 'x-overflow' => 'reject-publish']);
    $log = [];
    $channel->setConfirmCallback(
        function (int $tag) use (&$log) { $log[] = "ack $tag"; return false; },
        function (int $tag) use (&$log) { $log[] = "nack $tag"; return false; });
    $channel->setReturnCallback(
        function (int $code, string $text, $exchange, $key, $properties, $body) use (&$log) {
            $log[] = "return $code $text $body";
        });
    $channel->confirmSelect();
    $exchange = exchange($channel);
    foreach ([$queue->getName(), $queue->getName(), 'no.such.queue'] as $key) {
        $exchange->publish('x', $key, AMQP_MANDATORY);
        $channel->waitForConfirm(10);
    }
    equal(['ack 1', 'nack 2', 'return 312 NO_ROUTE x', 'ack 3'], $log);
});

check('consume with prefetch, in order', function (AMQPChannel $channel) {
    $queue = queue($channel);
    for ($n = 0; $n < 500; $n++) {
        exchange($channel)->publish((string) $n, $queue->getName());
    }
    $channel->setPrefetchCount(7);
    $found = [];
    $queue->consume(function (AMQPEnvelope $one, AMQPQueue $queue) use (&$found) {
        $found[] = (int) $one->getBody();
        $queue->ack($one->getDeliveryTag());
        return count($found) < 500;
    });
    equal(range(0, 499), $found);
    $queue->cancel();
});

check('nack, reject and recover', function (AMQPChannel $channel) {
    $queue = queue($channel);
    exchange($channel)->publish('a', $queue->getName());
    $first = got($queue, AMQP_NOPARAM);
    equal(false, $first->isRedelivery());
    $queue->nack($first->getDeliveryTag(), AMQP_REQUEUE);
    $second = got($queue, AMQP_NOPARAM);
    equal(true, $second->isRedelivery());
    $queue->reject($second->getDeliveryTag(), AMQP_REQUEUE);
    got($queue, AMQP_NOPARAM);
    $channel->basicRecover();
    $last = got($queue, AMQP_NOPARAM);
    equal('a', $last->getBody());
    $queue->reject($last->getDeliveryTag());
    $channel->basicRecover();
    equal(true, !$queue->get());
});

check('exchanges of all kinds, and one behind another', function (AMQPChannel $channel) {
    $behind = exchange($channel, 'php.behind', AMQP_EX_TYPE_FANOUT);
    $all = queue($channel);
    $all->bind('php.behind');
    foreach (['direct', 'fanout', 'topic', 'headers'] as $kind) {
        $exchange = exchange($channel, "php.$kind", $kind);
        $queue = queue($channel);
        $key = $kind === 'topic' ? 'a.#' : 'a.b';
        $match = ['x-match' => 'all', 'h' => 1];
        $queue->bind("php.$kind", $key, $match);
        $behind->bind("php.$kind", $key, $match);
        $exchange->publish($kind, 'a.b', AMQP_NOPARAM, ['headers' => ['h' => 1]]);
        equal([$kind, $kind], [got($queue)->getBody(), got($all)->getBody()]);
        $behind->unbind("php.$kind", $key, $match);
        $queue->unbind("php.$kind", $key, $match);
    }
});

check('channel errors spare the connection', function (AMQPChannel $channel) {
    $connection = $channel->getConnection();
    $passive = function (AMQPChannel $channel, string $name) {
        $queue = new AMQPQueue($channel);
        $queue->setName($name);
        $queue->setFlags(AMQP_PASSIVE);
        $queue->declareQueue();
    };
    begins("404 Server channel error: 404, message: NOT_FOUND - no queue 'php.no' in vhost '/'",
        refused(fn () => $passive(new AMQPChannel($connection), 'php.no')));
    $name = queue($channel)->getName();
    $other = new AMQPChannel(connect());
    begins('405 Server channel error: 405, message: RESOURCE_LOCKED',
        refused(fn () => $passive($other, $name)));
    equal(true, $connection->isConnected());
    queue(new AMQPChannel($connection));
});

check('dead letters', function (AMQPChannel $channel) {
    $dead = queue($channel);
    $queue = queue($channel, ['x-message-ttl' => 30, 'x-dead-letter-exchange' => '',
        'x-dead-letter-routing-key' => $dead->getName()]);
    exchange($channel)->publish('x', $queue->getName());
    $death = got($dead)->getHeader('x-death')[0];
    equal([$queue->getName(), 'expired', 1],
        [$death['queue'], $death['reason'], $death['count']]);
});

check('transactions', function (AMQPChannel $channel) {
    $queue = queue($channel);
    $channel->startTransaction();
    exchange($channel)->publish('never', $queue->getName());
    $channel->rollbackTransaction();
    exchange($channel)->publish('kept', $queue->getName());
    $channel->commitTransaction();
    equal('kept', got($queue)->getBody());
    equal(true, !$queue->get());
});

check('requests and direct replies', function (AMQPChannel $channel) {
    $queue = queue($channel);
    $replies = new AMQPQueue($channel);
    $replies->setName('amq.rabbitmq.reply-to');
    $replies->consume(null, AMQP_AUTOACK);
    exchange($channel)->publish('ask', $queue->getName(), AMQP_NOPARAM,
        ['reply_to' => 'amq.rabbitmq.reply-to']);
    $server = new AMQPChannel(connect());
    $asked = got($queue);
    exchange($server)->publish('re: ' . $asked->getBody(), $asked->getReplyTo());
    $found = null;
    $replies->consume(function (AMQPEnvelope $one) use (&$found) {
        $found = $one->getBody();
        return false;
    }, AMQP_JUST_CONSUME);
    equal('re: ask', $found);
});

check('purge, counts and deletes', function (AMQPChannel $channel) {
    $channel->confirmSelect();
    $channel->setConfirmCallback(fn (int $tag) => $tag < 5, null);
    $queue = new AMQPQueue($channel);
    $queue->setName('php.counts');
    $queue->setFlags(AMQP_EXCLUSIVE);
    $queue->declareQueue();
    for ($n = 0; $n < 5; $n++) {
        exchange($channel)->publish('x', $queue->getName());
    }
    $channel->waitForConfirm(10);
    equal(5, $queue->declareQueue());
    $queue->purge();
    equal(0, $queue->declareQueue());
    equal(0, $queue->delete(AMQP_IFUNUSED | AMQP_IFEMPTY));
});

check('heartbeats, and a connection that persists', function (AMQPChannel $channel) {
    $own = connect(['heartbeat' => 2]);
    equal(2, $own->getHeartbeatInterval());
    $own->disconnect();
    $kept = new AMQPConnection(['host' => getenv('HOST'), 'port' => (int) getenv('PORT')]);
    for ($turn = 0; $turn < 3; $turn++) {
        $kept->pconnect();
        queue(new AMQPChannel($kept));
        equal(true, $kept->isPersistent());
    }
    $kept->pdisconnect();
});

check('a wrong password, a wrong virtual host', function () {
    begins('403 ', refused(fn () => connect(['password' => 'no'])));
    begins('530 ', refused(fn () => connect(['vhost' => 'php.none'])));
});

echo "$passed passed, $failed failed\n";
exit($failed ? 1 : 0);
