import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Runs all checks: HOST and PORT tell where the broker is, BROKER_DIR what to kill. */
public final class Judge {
    private static final int SECONDS_MAX = 40;
    private static int passed;
    private static int failed;

    private Judge() {
    }

    /** Something that must hold on a connection. */
    interface Check {
        void run(Connection connection) throws Exception;
    }

    /** Something that is expected to be refused. */
    interface Act {
        void run() throws Exception;
    }

    static ConnectionFactory factory() {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(System.getenv("HOST"));
        factory.setPort(Integer.parseInt(System.getenv("PORT")));
        factory.setAutomaticRecoveryEnabled(false);
        return factory;
    }

    /** A queue of its own name that goes with the connection. */
    static String queue(Channel channel) throws Exception {
        return channel.queueDeclare().getQueue();
    }

    static void equal(Object wanted, Object found) {
        if (!java.util.Objects.deepEquals(wanted, found)) {
            throw new AssertionError("wanted " + wanted + ", found " + found);
        }
    }

    /** The next of a queue between threads, or a failure when none comes. */
    static <T> T next(BlockingQueue<T> queue) throws Exception {
        T found = queue.poll(10, TimeUnit.SECONDS);
        if (found == null) {
            throw new AssertionError("nothing came");
        }
        return found;
    }

    static void check(String name, Check check) {
        CompletableFuture<Void> done = CompletableFuture.runAsync(() -> {
            Connection connection = null;
            try {
                connection = factory().newConnection();
                check.run(connection);
            } catch (Exception error) {
                throw new IllegalStateException(error.toString(), error);
            } finally {
                // The broker may have been killed meanwhile.
                if (connection != null) {
                    connection.abort();
                }
            }
        });
        try {
            done.get(SECONDS_MAX, TimeUnit.SECONDS);
            passed++;
            System.out.println("ok java " + name);
        } catch (Exception error) {
            Throwable cause = error.getCause() == null ? error : error.getCause();
            failed++;
            System.out.println("FAIL java " + name + ": " + cause.getMessage());
        }
    }

    public static void main(String[] arguments) {
        Messages.checks();
        Topology.checks();
        Refusals.checks();
        Life.checks();
        System.out.println(passed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }
}
