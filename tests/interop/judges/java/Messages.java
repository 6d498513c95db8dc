import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.RpcClient;
import com.rabbitmq.client.RpcServer;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** Publishing, consuming, settling. */
final class Messages {
    private Messages() {
    }

    /** A consumer that hands over what it gets as text, with a plus if it came before. */
    static final class Taking extends DefaultConsumer {
        final BlockingQueue<String> bodies = new LinkedBlockingQueue<>();
        final BlockingQueue<Long> tags = new LinkedBlockingQueue<>();

        Taking(Channel channel) {
            super(channel);
        }

        @Override
        public void handleDelivery(String tag, Envelope envelope, BasicProperties properties,
                byte[] body) {
            tags.add(envelope.getDeliveryTag());
            bodies.add(new String(body) + (envelope.isRedeliver() ? "+" : ""));
        }

        @Override
        public void handleCancel(String tag) {
            bodies.add("cancelled");
        }

        @Override
        public void handleRecoverOk(String tag) {
            bodies.add("recovered");
        }
    }

    static void publish(Channel channel, String queue, String body) throws Exception {
        channel.basicPublish("", queue, MessageProperties.PERSISTENT_BASIC, body.getBytes());
    }

    static GetResponse get(Channel channel, String queue) throws Exception {
        for (int turn = 0; turn < 500; turn++) {
            GetResponse found = channel.basicGet(queue, true);
            if (found != null) {
                return found;
            }
            Thread.sleep(10);
        }
        throw new AssertionError("nothing came");
    }

    static void checks() {
        Judge.check("every property and every type of header", connection -> {
            Channel channel = connection.createChannel();
            String queue = Judge.queue(channel);
            Map<String, Object> inner = new HashMap<>();
            inner.put("list", new ArrayList<Object>(List.of(1, "two", 3L)));
            Map<String, Object> headers = new HashMap<>();
            headers.put("int", 5);
            headers.put("long", 1L << 40);
            headers.put("short", (short) -3);
            headers.put("byte", (byte) -4);
            headers.put("float", 0.5f);
            headers.put("double", 0.25);
            headers.put("decimal", new BigDecimal("12.34"));
            headers.put("yes", true);
            headers.put("date", new Date(1234567890000L));
            headers.put("nothing", null);
            headers.put("inner", inner);
            BasicProperties sent = new BasicProperties("a/b", "utf-8", headers, 2, 3, "c", "r",
                    "60000", "m", new Date(1234567890000L), "t", "guest", "app", null);
            channel.basicPublish("", queue, sent, new byte[] {0, -1, -2});
            GetResponse found = get(channel, queue);
            Judge.equal(new byte[] {0, -1, -2}, found.getBody());
            BasicProperties got = found.getProps();
            Map<String, Object> gotHeaders = new HashMap<>(got.getHeaders());
            @SuppressWarnings("unchecked")
            Map<String, Object> gotInner = (Map<String, Object>) gotHeaders.remove("inner");
            headers.remove("inner");
            Judge.equal(headers, gotHeaders);
            Judge.equal("[1, two, 3]", gotInner.get("list").toString());
            Judge.equal(List.of("a/b", "utf-8", 2, 3, "c", "r", "60000", "m", "t", "guest", "app"),
                    List.of(got.getContentType(), got.getContentEncoding(), got.getDeliveryMode(),
                            got.getPriority(), got.getCorrelationId(), got.getReplyTo(),
                            got.getExpiration(), got.getMessageId(), got.getType(),
                            got.getUserId(), got.getAppId()));
            Judge.equal(sent.getTimestamp(), got.getTimestamp());
            Judge.equal(null, channel.basicGet(queue, true));
        });
        Judge.check("bodies at the edges of a frame", connection -> {
            Channel channel = connection.createChannel();
            channel.confirmSelect();
            String queue = Judge.queue(channel);
            int frame = connection.getFrameMax() - 8;
            for (int size : new int[] {0, 1, frame - 1, frame, frame + 1, 2 * frame + 1, 9000000}) {
                byte[] body = new byte[size];
                new Random(size).nextBytes(body);
                channel.basicPublish("", queue, null, body);
                channel.waitForConfirmsOrDie(10000);
                Judge.equal(body, get(channel, queue).getBody());
            }
        });
        Judge.check("consume with prefetch, in order, acked together", connection -> {
            Channel channel = connection.createChannel();
            String queue = Judge.queue(channel);
            for (int n = 0; n < 500; n++) {
                publish(channel, queue, "" + n);
            }
            channel.basicQos(7);
            Taking taking = new Taking(channel);
            channel.basicConsume(queue, false, taking);
            for (int n = 0; n < 500; n++) {
                Judge.equal("" + n, Judge.next(taking.bodies));
                long tag = Judge.next(taking.tags);
                if (n % 7 == 6 || n == 499) {
                    channel.basicAck(tag, true);
                }
            }
        });
        Judge.check("nack, reject and recover", connection -> {
            Channel channel = connection.createChannel();
            String queue = Judge.queue(channel);
            Taking taking = new Taking(channel);
            channel.basicConsume(queue, false, taking);
            publish(channel, queue, "a");
            Judge.equal("a", Judge.next(taking.bodies));
            channel.basicNack(Judge.next(taking.tags), false, true);
            Judge.equal("a+", Judge.next(taking.bodies));
            channel.basicReject(Judge.next(taking.tags), true);
            Judge.equal("a+", Judge.next(taking.bodies));
            channel.basicRecover(true);
            Judge.equal("recovered", Judge.next(taking.bodies));
            Judge.equal("a+", Judge.next(taking.bodies));
            Judge.next(taking.tags);
            channel.basicNack(Judge.next(taking.tags), true, false);
            channel.basicRecover(true);
            Judge.equal("recovered", Judge.next(taking.bodies));
            Judge.equal(0L, channel.messageCount(queue));
        });
        Judge.check("deleting a queue cancels its consumer", connection -> {
            Channel channel = connection.createChannel();
            String queue = Judge.queue(channel);
            Taking taking = new Taking(channel);
            channel.basicConsume(queue, true, taking);
            channel.queueDelete(queue);
            Judge.equal("cancelled", Judge.next(taking.bodies));
        });
        Judge.check("a thousand confirms, by a listener and by waiting", connection -> {
            Channel channel = connection.createChannel();
            String queue = Judge.queue(channel);
            BlockingQueue<Long> acked = new LinkedBlockingQueue<>();
            channel.addConfirmListener((tag, multiple) -> acked.add(tag),
                    (tag, multiple) -> acked.add(-tag));
            channel.confirmSelect();
            for (int n = 1; n <= 1000; n++) {
                Judge.equal((long) n, channel.getNextPublishSeqNo());
                publish(channel, queue, "x");
            }
            Judge.equal(true, channel.waitForConfirms(10000));
            Judge.equal(1000L, channel.messageCount(queue));
            long last = 0;
            while (last < 1000) {
                long tag = Judge.next(acked);
                Judge.equal(true, tag > last);
                last = tag;
            }
        });
        Judge.check("a return comes before its confirm", connection -> {
            Channel channel = connection.createChannel();
            BlockingQueue<String> log = new LinkedBlockingQueue<>();
            channel.addReturnListener(back -> log.add(back.getReplyCode() + " "
                    + back.getReplyText() + " " + new String(back.getBody())));
            channel.addConfirmListener((tag, multiple) -> log.add("ack"),
                    (tag, multiple) -> log.add("nack"));
            channel.confirmSelect();
            channel.basicPublish("", "no.such.queue", true, null, "x".getBytes());
            Judge.equal("312 NO_ROUTE x", Judge.next(log));
            Judge.equal("ack", Judge.next(log));
        });
        Judge.check("a refused publish is nacked", connection -> {
            Channel channel = connection.createChannel();
            Map<String, Object> arguments = new HashMap<>();
            arguments.put("x-max-length", 1);
            arguments.put("x-overflow", "reject-publish");
            String queue = channel.queueDeclare("", false, true, true, arguments).getQueue();
            channel.confirmSelect();
            publish(channel, queue, "a");
            Judge.equal(true, channel.waitForConfirms(10000));
            publish(channel, queue, "b");
            Judge.equal(false, channel.waitForConfirms(10000));
        });
        Judge.check("transactions", connection -> {
            Channel channel = connection.createChannel();
            String queue = Judge.queue(channel);
            channel.txSelect();
            publish(channel, queue, "never");
            channel.txRollback();
            publish(channel, queue, "kept");
            Judge.equal(0L, channel.messageCount(queue));
            channel.txCommit();
            Judge.equal("kept", new String(get(channel, queue).getBody()));
            Judge.equal(null, channel.basicGet(queue, true));
        });
        Judge.check("requests by a queue, replies directly", connection -> {
            Channel channel = connection.createChannel();
            String queue = Judge.queue(channel);
            RpcServer server = new RpcServer(connection.createChannel(), queue) {
                @Override
                public byte[] handleCall(byte[] body, BasicProperties reply) {
                    return ("re: " + new String(body)).getBytes();
                }
            };
            Thread thread = new Thread(() -> {
                try {
                    server.mainloop();
                } catch (Exception error) {
                    System.out.println("the server of requests: " + error);
                }
            });
            thread.start();
            RpcClient client = new RpcClient(channel, "", queue, "amq.rabbitmq.reply-to", 10000);
            for (String word : List.of("one", "two")) {
                Judge.equal("re: " + word, client.stringCall(word));
            }
            client.close();
            server.terminateMainloop();
            thread.join(10000);
        });
    }
}
