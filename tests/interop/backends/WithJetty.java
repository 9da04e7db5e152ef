import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.websocket.api.RemoteEndpoint;
import org.eclipse.jetty.websocket.api.Session;
import org.eclipse.jetty.websocket.api.UpgradeRequest;
import org.eclipse.jetty.websocket.api.WebSocketAdapter;
import org.eclipse.jetty.websocket.api.WebSocketPingPongListener;
import org.eclipse.jetty.websocket.server.WebSocketHandler;
import org.eclipse.jetty.websocket.servlet.ServletUpgradeRequest;
import org.eclipse.jetty.websocket.servlet.ServletUpgradeResponse;
import org.eclipse.jetty.websocket.servlet.WebSocketServletFactory;

/** An echo backend on Jetty 9 by its own WebSocket API. Prints {@code listening PORT}. */
public final class WithJetty {
    private WithJetty() {}

    public static void main(String[] arguments) throws Exception {
        Server server = new Server(new InetSocketAddress("127.0.0.1", 0));
        server.setHandler(new WebSocketHandler() {
            @Override
            public void configure(WebSocketServletFactory factory) {
                factory.getPolicy().setMaxTextMessageSize(Language.MESSAGE_SIZE_MAX);
                factory.getPolicy().setMaxBinaryMessageSize(Language.MESSAGE_SIZE_MAX);
                factory.setCreator(WithJetty::agree);
            }
        });
        server.start();
        System.out.println("listening " + ((ServerConnector) server.getConnectors()[0]).getLocalPort());
        server.join();
    }

    private static Object agree(ServletUpgradeRequest request, ServletUpgradeResponse response) {
        for (String cookie : Language.COOKIES) {
            response.addHeader("Set-Cookie", cookie);
        }
        if (request.hasSubProtocol(Language.SUBPROTOCOL)) {
            response.setAcceptedSubProtocol(Language.SUBPROTOCOL);
        }
        return new Echo();
    }

    /** One session. */
    public static final class Echo extends WebSocketAdapter implements WebSocketPingPongListener, Language.Actions {
        @Override
        public void onWebSocketConnect(Session session) {
            super.onWebSocketConnect(session);
            if (session.getUpgradeRequest().getRequestURI().getPath().endsWith("/greeting")) {
                Language.attempt(() -> send(Language.GREETING));
            }
        }

        @Override
        public void onWebSocketText(String text) {
            Language.answer(text, this);
        }

        @Override
        public void onWebSocketBinary(byte[] bytes, int offset, int length) {
            Language.attempt(() -> getRemote().sendBytes(ByteBuffer.wrap(bytes, offset, length)));
        }

        @Override
        public void onWebSocketPing(ByteBuffer payload) {
            // Jetty answers by itself.
        }

        @Override
        public void onWebSocketPong(ByteBuffer payload) {
            Language.attempt(() -> send("pong " + StandardCharsets.UTF_8.decode(payload)));
        }

        @Override
        public void onWebSocketClose(int code, String reason) {
            Language.recordEnding(getSession().getUpgradeRequest().getRequestURI().getQuery(), code, reason);
            super.onWebSocketClose(code, reason);
        }

        @Override
        public void onWebSocketError(Throwable error) {
            System.out.println("session: " + error);
        }

        @Override
        public void send(String text) throws IOException {
            getRemote().sendString(text);
        }

        @Override
        public void sendFragments(List<String> fragments) throws IOException {
            RemoteEndpoint remote = getRemote();
            for (int at = 0; at < fragments.size(); at += 1) {
                remote.sendPartialString(fragments.get(at), at == fragments.size() - 1);
            }
        }

        @Override
        public void close(int code, String reason) {
            getSession().close(code, reason);
        }

        @Override
        public void ping(String payload) throws IOException {
            getRemote().sendPing(ByteBuffer.wrap(payload.getBytes(StandardCharsets.UTF_8)));
        }

        @Override
        public String request() {
            UpgradeRequest request = getSession().getUpgradeRequest();
            String extensions = getSession().getUpgradeResponse().getHeader("Sec-WebSocket-Extensions");
            return Language.requestJson(
                    request.getRequestURI().toString(), request.getHeaders(), extensions == null ? "" : extensions);
        }
    }
}
