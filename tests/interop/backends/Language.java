import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/**
 * What a client may ask of a backend in a text message; everything else is echoed. The Java twin of language.py and
 * language.mjs.
 */
final class Language {
    static final String SUBPROTOCOL = "chat.v1";
    static final List<String> COOKIES = List.of("first=1; Path=/", "second=2; Path=/");
    static final String GREETING = "greeting";
    static final List<String> FRAGMENTS = List.of("one ", "two ", "three");
    static final int MESSAGE_SIZE_MAX = 64 << 20;

    /** How sessions ended, by the query of their request, which holds the id that the client gave itself. */
    private static final Map<String, String> ENDINGS = new ConcurrentHashMap<>();

    private Language() {}

    /** What can be done on one connection. */
    interface Actions {
        void send(String text) throws IOException;

        void sendFragments(List<String> fragments) throws IOException;

        void close(int code, String reason) throws IOException;

        void ping(String payload) throws IOException;

        /** Path, headers and extensions of the opening handshake, as JSON. */
        String request();
    }

    /** What may fail because the other end has gone. */
    interface Attempt {
        void run() throws IOException, InterruptedException;
    }

    static void attempt(Attempt attempt) {
        try {
            attempt.run();
        } catch (IOException | InterruptedException error) {
            System.out.println("session: " + error);
        }
    }

    /** Answers a text message. */
    static void answer(String text, Actions actions) {
        attempt(() -> {
            if (!answerAsk(text, actions)) {
                actions.send(text);
            }
        });
    }

    static void recordEnding(String query, int code, String reason) {
        ENDINGS.put(String.valueOf(query), code + " " + (reason == null ? "" : reason));
    }

    /** False for a message that asks nothing. */
    private static boolean answerAsk(String text, Actions actions) throws IOException, InterruptedException {
        String[] words = text.split(" ", 4);
        if (!words[0].equals("ask")) {
            return false;
        }
        switch (words[1]) {
            case "close" -> actions.close(Integer.parseInt(words[2]), words.length > 3 ? words[3] : "");
            case "ending" -> tellEnding(words[2], actions);
            case "fragments" -> actions.sendFragments(FRAGMENTS);
            case "ping" -> actions.ping(words[2]);
            case "request" -> actions.send(actions.request());
            default -> throw new IllegalArgumentException(text);
        }
        return true;
    }

    private static void tellEnding(String id, Actions actions) throws IOException, InterruptedException {
        for (int tries = 0; tries < 40 && !ENDINGS.containsKey("id=" + id); tries += 1) {
            Thread.sleep(50);
        }
        actions.send("ending " + ENDINGS.getOrDefault("id=" + id, "unknown"));
    }

    static String requestJson(String path, Map<String, List<String>> headers, String extensions) {
        String pairs = headers.entrySet().stream()
                .flatMap(header -> header.getValue().stream().map(value -> "[" + quoted(header.getKey()) + "," + quoted(value) + "]"))
                .collect(Collectors.joining(","));
        return "{\"path\":" + quoted(path) + ",\"headers\":[" + pairs + "],\"extensions\":" + quoted(extensions) + "}";
    }

    private static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }
}
