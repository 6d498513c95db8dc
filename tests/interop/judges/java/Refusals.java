import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AuthenticationFailureException;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Method;
import com.rabbitmq.client.ShutdownSignalException;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** What is refused, and how the client understands it. */
final class Refusals {
    private Refusals() {
    }

    /** The code and the words with which a channel or a connection was closed for an act. */
    private static String refusal(Judge.Act act) throws Exception {
        try {
            act.run();
        } catch (Exception error) {
            for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                if (cause instanceof ShutdownSignalException) {
                    return told((ShutdownSignalException) cause);
                }
            }
            throw error;
        }
        throw new AssertionError("it was done");
    }

    private static String told(ShutdownSignalException signal) {
        Method reason = signal.getReason();
        if (reason instanceof AMQP.Channel.Close) {
            AMQP.Channel.Close close = (AMQP.Channel.Close) reason;
            return close.getReplyCode() + " " + close.getReplyText();
        }
        AMQP.Connection.Close close = (AMQP.Connection.Close) reason;
        return close.getReplyCode() + " " + close.getReplyText();
    }

    private static void begins(String wanted, String found) {
        if (!found.startsWith(wanted)) {
            throw new AssertionError("wanted " + wanted + ", found " + found);
        }
    }

    static void checks() {
        Judge.check("channel errors spare the connection", connection -> {
            String queue = "java.refusals";
            connection.createChannel().queueDeclare(queue, false, true, true, null);
            Map<String, Object> arguments = new HashMap<>();
            arguments.put("x-max-length", 3);
            begins("404 NOT_FOUND - no queue 'java.none' in vhost '/'", refusal(() ->
                    connection.createChannel().queueDeclarePassive("java.none")));
            begins("406 PRECONDITION_FAILED - inequivalent arg 'x-max-length'", refusal(() ->
                    connection.createChannel().queueDeclare(queue, false, true, true, arguments)));
            begins("403 ACCESS_REFUSED", refusal(() ->
                    connection.createChannel().exchangeDelete("amq.direct")));
            begins("406 PRECONDITION_FAILED", refusal(() -> {
                Channel channel = connection.createChannel();
                Messages.publish(channel, queue, "x");
                channel.queueDelete(queue, false, true);
            }));
            Judge.equal(true, connection.isOpen());
        });
        Judge.check("another connection's exclusive queue is locked", connection -> {
            String queue = Judge.queue(connection.createChannel());
            try (Connection other = Judge.factory().newConnection()) {
                begins("405 RESOURCE_LOCKED", refusal(() ->
                        other.createChannel().queueDeclarePassive(queue)));
            }
        });
        Judge.check("a publish to no exchange closes its channel", connection -> {
            Channel channel = connection.createChannel();
            BlockingQueue<String> closed = new LinkedBlockingQueue<>();
            channel.addShutdownListener(signal -> closed.add(told(signal)));
            channel.basicPublish("java.none", "", null, "x".getBytes());
            begins("404 NOT_FOUND - no exchange 'java.none' in vhost '/'", Judge.next(closed));
        });
        Judge.check("an unknown delivery tag closes its channel", connection -> {
            Channel channel = connection.createChannel();
            BlockingQueue<String> closed = new LinkedBlockingQueue<>();
            channel.addShutdownListener(signal -> closed.add(told(signal)));
            channel.basicAck(99, false);
            begins("406 PRECONDITION_FAILED - unknown delivery tag 99", Judge.next(closed));
        });
        Judge.check("a wrong password, a wrong virtual host", connection -> {
            ConnectionFactory factory = Judge.factory();
            factory.setPassword("no");
            try {
                factory.newConnection();
                throw new AssertionError("it was let in");
            } catch (AuthenticationFailureException error) {
                begins("ACCESS_REFUSED", error.getMessage());
            }
            ConnectionFactory elsewhere = Judge.factory();
            elsewhere.setVirtualHost("java.none");
            begins("530 NOT_ALLOWED - vhost java.none not found", refusal(elsewhere::newConnection));
        });
    }
}
