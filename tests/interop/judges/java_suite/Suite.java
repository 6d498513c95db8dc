import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.Request;
import org.junit.runner.manipulation.Filter;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/**
 * Runs test classes, all but what is left out (-Class.test), and says of each test what became of it,
 * in the words of pytest. Some race with themselves: one that publishes what is refused, and then asks
 * for something to hear of it, fails when it hears of it before it asks. So what fails has two more
 * turns.
 */
public final class Suite extends RunListener {
    private static final int TURNS = 3;

    private final boolean isLastTurn;
    private final List<Description> failed = new ArrayList<>();
    private String outcome;
    private String why;
    private long began;

    private Suite(boolean isLastTurn) {
        this.isLastTurn = isLastTurn;
    }

    private static String name(Description test) {
        return test.getTestClass().getSimpleName() + "." + test.getMethodName();
    }

    @Override
    public void testStarted(Description test) {
        outcome = "PASSED";
        why = "";
        began = System.currentTimeMillis();
    }

    @Override
    public void testFailure(Failure failure) {
        outcome = "FAILED";
        String[] lines = String.valueOf(failure.getException()).split("\n");
        why = " - " + lines[0];
        if (failure.getDescription().getMethodName() == null) {
            System.out.println("FAILED " + failure.getDescription().getClassName() + why);
        }
    }

    @Override
    public void testAssumptionFailure(Failure failure) {
        outcome = "SKIPPED";
    }

    @Override
    public void testFinished(Description test) {
        if (outcome.equals("FAILED") && !isLastTurn) {
            failed.add(test);
            return;
        }
        long tookMs = System.currentTimeMillis() - began;
        System.out.println(outcome + " " + name(test) + " in " + tookMs + " ms" + why);
    }

    public static void main(String[] names) throws Exception {
        List<Class<?>> classes = new ArrayList<>();
        Set<String> leftOut = new HashSet<>();
        for (String name : names) {
            if (name.startsWith("-")) {
                leftOut.add(name.substring(1));
            } else {
                classes.add(Class.forName("com.rabbitmq.client.test." + name));
            }
        }
        Filter filter = new Filter() {
            @Override
            public boolean shouldRun(Description test) {
                return test.isSuite() || !leftOut.contains(name(test));
            }

            @Override
            public String describe() {
                return "all but " + leftOut;
            }
        };
        System.out.println("short test summary info");
        Request all = Request.classes(classes.toArray(new Class<?>[0])).filterWith(filter);
        List<Request> requests = List.of(all);
        for (int turn = 1; turn <= TURNS; turn++) {
            requests = run(requests, turn == TURNS);
        }
        System.exit(0);
    }

    /** Runs these, and returns those to be run again. */
    private static List<Request> run(List<Request> requests, boolean isLastTurn) {
        Suite suite = new Suite(isLastTurn);
        for (Request request : requests) {
            JUnitCore core = new JUnitCore();
            core.addListener(suite);
            core.run(request);
        }
        List<Request> again = new ArrayList<>();
        for (Description test : suite.failed) {
            again.add(Request.method(test.getTestClass(), test.getMethodName()));
        }
        return again;
    }
}
