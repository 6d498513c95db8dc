import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.BuiltinExchangeType;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.GetResponse;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Exchanges, bindings, queues and their arguments. */
final class Topology {
    private Topology() {
    }

    static void checks() {
        Judge.check("exchanges of all kinds, and one behind another", connection -> {
            Channel channel = connection.createChannel();
            channel.exchangeDeclare("java.behind", BuiltinExchangeType.FANOUT, false, true, null);
            String all = Judge.queue(channel);
            channel.queueBind(all, "java.behind", "");
            for (BuiltinExchangeType type : BuiltinExchangeType.values()) {
                String name = "java." + type.getType();
                channel.exchangeDeclare(name, type, false, true, null);
                String key = type == BuiltinExchangeType.TOPIC ? "a.#" : "a.b";
                Map<String, Object> match = new HashMap<>();
                match.put("x-match", "all");
                match.put("h", 1);
                String queue = Judge.queue(channel);
                channel.queueBind(queue, name, key, match);
                channel.exchangeBind("java.behind", name, key, match);
                Map<String, Object> headers = new HashMap<>();
                headers.put("h", 1);
                BasicProperties properties =
                        new BasicProperties.Builder().headers(headers).build();
                channel.basicPublish(name, "a.b", properties, name.getBytes());
                for (String place : List.of(queue, all)) {
                    GetResponse found = Messages.get(channel, place);
                    Judge.equal(name, new String(found.getBody()));
                    Judge.equal("a.b", found.getEnvelope().getRoutingKey());
                    Judge.equal(name, found.getEnvelope().getExchange());
                }
                channel.exchangeUnbind("java.behind", name, key, match);
                channel.queueUnbind(queue, name, key, match);
            }
        });
        Judge.check("a queue tells its counts", connection -> {
            Channel channel = connection.createChannel();
            String queue = Judge.queue(channel);
            channel.basicConsume(queue, false, new Messages.Taking(channel));
            channel.basicQos(0);
            AMQP.Queue.DeclareOk ok = channel.queueDeclarePassive(queue);
            Judge.equal(List.of(queue, 0, 1),
                    List.of(ok.getQueue(), ok.getMessageCount(), ok.getConsumerCount()));
            String other = Judge.queue(channel);
            channel.confirmSelect();
            for (int n = 0; n < 5; n++) {
                Messages.publish(channel, other, "x");
            }
            channel.waitForConfirmsOrDie(10000);
            Judge.equal(5L, channel.messageCount(other));
            Judge.equal(5, channel.queuePurge(other).getMessageCount());
            Judge.equal(0, channel.queueDelete(other, true, true).getMessageCount());
        });
        Judge.check("dead letters tell where they were", connection -> {
            Channel channel = connection.createChannel();
            String dead = Judge.queue(channel);
            Map<String, Object> arguments = new HashMap<>();
            arguments.put("x-message-ttl", 30);
            arguments.put("x-dead-letter-exchange", "");
            arguments.put("x-dead-letter-routing-key", dead);
            String queue = channel.queueDeclare("", false, true, true, arguments).getQueue();
            Messages.publish(channel, queue, "x");
            Map<String, Object> headers = Messages.get(channel, dead).getProps().getHeaders();
            Object death = ((List<?>) headers.get("x-death")).get(0);
            Map<?, ?> told = (Map<?, ?>) death;
            Judge.equal(List.of(queue, "expired", "1"), List.of(told.get("queue").toString(),
                    told.get("reason").toString(), told.get("count").toString()));
        });
        Judge.check("priorities", connection -> {
            Channel channel = connection.createChannel();
            Map<String, Object> arguments = new HashMap<>();
            arguments.put("x-max-priority", 9);
            String queue = channel.queueDeclare("", false, true, true, arguments).getQueue();
            channel.confirmSelect();
            for (int priority : new int[] {1, 9, 5}) {
                BasicProperties properties =
                        new BasicProperties.Builder().priority(priority).build();
                channel.basicPublish("", queue, properties, ("" + priority).getBytes());
            }
            channel.waitForConfirmsOrDie(10000);
            for (String wanted : List.of("9", "5", "1")) {
                Judge.equal(wanted, new String(Messages.get(channel, queue).getBody()));
            }
        });
        Judge.check("an alternate exchange gets what has no route", connection -> {
            Channel channel = connection.createChannel();
            channel.exchangeDeclare("java.else", "fanout", false, true, null);
            String queue = Judge.queue(channel);
            channel.queueBind(queue, "java.else", "");
            Map<String, Object> arguments = new HashMap<>();
            arguments.put("alternate-exchange", "java.else");
            channel.exchangeDeclare("java.first", "direct", false, false, arguments);
            channel.basicPublish("java.first", "nowhere", true, null, "x".getBytes());
            Judge.equal("x", new String(Messages.get(channel, queue).getBody()));
            channel.exchangeDelete("java.first", true);
        });
        Judge.check("without waiting for answers", connection -> {
            Channel channel = connection.createChannel();
            channel.queueDeclareNoWait("java.nowait", false, true, true, null);
            channel.exchangeDeclareNoWait("java.nowait", "fanout", false, true, false, null);
            channel.queueBindNoWait("java.nowait", "java.nowait", "", null);
            channel.basicPublish("java.nowait", "", null, "x".getBytes());
            Judge.equal("x", new String(Messages.get(channel, "java.nowait").getBody()));
            channel.queueDeleteNoWait("java.nowait", false, false);
            Judge.equal(true, channel.isOpen());
        });
    }
}
