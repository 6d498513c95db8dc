import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Recoverable;
import com.rabbitmq.client.RecoveryListener;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** Connections: what they tell, how many channels, silence, and the broker's end. */
final class Life {
    private Life() {
    }

    private static void broker(String action) throws Exception {
        Process process = new ProcessBuilder("python3", System.getenv("INTEROP") + "/lib.py",
                action, System.getenv("BROKER_DIR")).inheritIO().start();
        Judge.equal(0, process.waitFor());
    }

    private static void onceMore(ConnectionFactory factory) throws Exception {
        BlockingQueue<String> recovered = new LinkedBlockingQueue<>();
        factory.setAutomaticRecoveryEnabled(true);
        factory.setNetworkRecoveryInterval(200);
        try (Connection connection = factory.newConnection()) {
            ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
                @Override
                public void handleRecovery(Recoverable recoverable) {
                    recovered.add("recovered");
                }

                @Override
                public void handleRecoveryStarted(Recoverable recoverable) {
                }
            });
            Channel channel = connection.createChannel();
            channel.confirmSelect();
            channel.queueDeclare("java.kept", true, false, false, null);
            for (int n = 0; n < 100; n++) {
                Messages.publish(channel, "java.kept", "" + n);
            }
            channel.waitForConfirmsOrDie(10000);
            Channel reading = connection.createChannel();
            String own = Judge.queue(reading);
            reading.queueBind(own, "amq.fanout", "");
            Messages.Taking taking = new Messages.Taking(reading);
            reading.basicConsume(own, true, taking);
            broker("restart");
            Judge.equal("recovered", Judge.next(recovered));
            Judge.equal(100L, channel.messageCount("java.kept"));
            channel.basicPublish("amq.fanout", "", null, "again".getBytes());
            Judge.equal("again", Judge.next(taking.bodies));
            channel.queueDelete("java.kept");
        }
    }

    static void checks() {
        Judge.check("the server tells who it is and what it can", connection -> {
            Map<?, ?> told = connection.getServerProperties();
            Map<?, ?> capabilities = (Map<?, ?>) told.get("capabilities");
            for (String name : List.of("publisher_confirms", "consumer_cancel_notify",
                    "exchange_exchange_bindings", "basic.nack", "connection.blocked",
                    "authentication_failure_close", "per_consumer_qos", "direct_reply_to")) {
                Judge.equal(true, capabilities.get(name));
            }
            Judge.equal("RabbitMQ", told.get("product").toString());
        });
        Judge.check("as many channels as were asked for, and no more", connection -> {
            ConnectionFactory factory = Judge.factory();
            factory.setRequestedChannelMax(200);
            try (Connection own = factory.newConnection("java with a name")) {
                List<Channel> channels = new ArrayList<>();
                for (int n = 0; n < 200; n++) {
                    channels.add(own.createChannel());
                }
                Judge.equal(null, own.createChannel());
                for (Channel channel : channels) {
                    channel.queueDeclare();
                }
                channels.get(7).close();
                Judge.equal(8, own.createChannel().getChannelNumber());
            }
        });
        Judge.check("heartbeats of one second", connection -> {
            ConnectionFactory factory = Judge.factory();
            factory.setRequestedHeartbeat(1);
            try (Connection own = factory.newConnection()) {
                Judge.equal(1, own.getHeartbeat());
                Thread.sleep(4000);
                own.createChannel().queueDeclare();
            }
        });
        Judge.check("sockets that do not block", connection -> {
            ConnectionFactory factory = Judge.factory();
            factory.useNio();
            try (Connection own = factory.newConnection()) {
                Channel channel = own.createChannel();
                channel.confirmSelect();
                String queue = Judge.queue(channel);
                Messages.Taking taking = new Messages.Taking(channel);
                channel.basicConsume(queue, true, taking);
                for (int n = 0; n < 2000; n++) {
                    Messages.publish(channel, queue, "" + n);
                }
                Judge.equal(true, channel.waitForConfirms(10000));
                for (int n = 0; n < 2000; n++) {
                    Judge.equal("" + n, Judge.next(taking.bodies));
                }
            }
        });
        Judge.check("connection, queues and consumers come back after a kill", connection ->
                onceMore(Judge.factory()));
        Judge.check("the same with sockets that do not block", connection -> {
            ConnectionFactory factory = Judge.factory();
            factory.useNio();
            onceMore(factory);
        });
    }
}
