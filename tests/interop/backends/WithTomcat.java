import jakarta.servlet.ServletContextEvent;
import jakarta.servlet.ServletContextListener;
import jakarta.websocket.CloseReason;
import jakarta.websocket.DeploymentException;
import jakarta.websocket.Endpoint;
import jakarta.websocket.EndpointConfig;
import jakarta.websocket.HandshakeResponse;
import jakarta.websocket.MessageHandler;
import jakarta.websocket.PongMessage;
import jakarta.websocket.Session;
import jakarta.websocket.server.HandshakeRequest;
import jakarta.websocket.server.ServerContainer;
import jakarta.websocket.server.ServerEndpointConfig;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.websocket.server.WsSci;

/** An echo backend on Tomcat 10 by its Jakarta WebSocket API. Prints {@code listening PORT}. */
public final class WithTomcat {
    private static final String ROUTE = "/tomcat";

    private WithTomcat() {}

    public static void main(String[] arguments) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(Files.createTempDirectory("wsgate-interop-tomcat-").toString());
        tomcat.setPort(0);
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        Context context = tomcat.addContext("", null);
        context.addServletContainerInitializer(new WsSci(), null);
        context.addApplicationListener(Endpoints.class.getName());
        Tomcat.addServlet(context, "default", "org.apache.catalina.servlets.DefaultServlet");
        context.addServletMappingDecoded("/", "default");
        tomcat.start();
        System.out.println("listening " + tomcat.getConnector().getLocalPort());
        tomcat.getServer().await();
    }

    /** Adds the endpoint at the path of the route, and where a greeting is asked for. */
    public static final class Endpoints implements ServletContextListener {
        @Override
        public void contextInitialized(ServletContextEvent event) {
            ServerContainer container =
                    (ServerContainer) event.getServletContext().getAttribute(ServerContainer.class.getName());
            try {
                for (String path : List.of(ROUTE, ROUTE + "/greeting")) {
                    container.addEndpoint(ServerEndpointConfig.Builder.create(Echo.class, path)
                            .subprotocols(List.of(Language.SUBPROTOCOL))
                            .configurator(new Handshake())
                            .build());
                }
            } catch (DeploymentException error) {
                throw new IllegalStateException(error);
            }
        }
    }

    /** Sets the cookies, and keeps the headers of the request for who asks. */
    public static final class Handshake extends ServerEndpointConfig.Configurator {
        @Override
        public void modifyHandshake(ServerEndpointConfig config, HandshakeRequest request, HandshakeResponse response) {
            response.getHeaders().put("Set-Cookie", Language.COOKIES);
            // Tomcat copies what is here into the session that this handshake opens.
            config.getUserProperties().put("headers", Map.copyOf(request.getHeaders()));
        }
    }

    /** One session. */
    public static final class Echo extends Endpoint {
        @Override
        public void onOpen(Session session, EndpointConfig config) {
            session.setMaxTextMessageBufferSize(Language.MESSAGE_SIZE_MAX);
            session.setMaxBinaryMessageBufferSize(Language.MESSAGE_SIZE_MAX);
            Asked asked = new Asked(session);
            session.addMessageHandler(String.class, new MessageHandler.Whole<String>() {
                @Override
                public void onMessage(String text) {
                    Language.answer(text, asked);
                }
            });
            session.addMessageHandler(ByteBuffer.class, new MessageHandler.Whole<ByteBuffer>() {
                @Override
                public void onMessage(ByteBuffer bytes) {
                    Language.attempt(() -> session.getBasicRemote().sendBinary(bytes));
                }
            });
            session.addMessageHandler(PongMessage.class, new MessageHandler.Whole<PongMessage>() {
                @Override
                public void onMessage(PongMessage pong) {
                    Language.attempt(() -> asked.send("pong " + StandardCharsets.UTF_8.decode(pong.getApplicationData())));
                }
            });
            if (session.getRequestURI().getPath().endsWith("/greeting")) {
                Language.attempt(() -> asked.send(Language.GREETING));
            }
        }

        @Override
        public void onClose(Session session, CloseReason reason) {
            Language.recordEnding(session.getQueryString(), reason.getCloseCode().getCode(), reason.getReasonPhrase());
        }

        @Override
        public void onError(Session session, Throwable error) {
            System.out.println("session: " + error);
        }
    }

    /** What Language may do on one connection. */
    private record Asked(Session session) implements Language.Actions {
        @Override
        public void send(String text) throws IOException {
            session.getBasicRemote().sendText(text);
        }

        @Override
        public void sendFragments(List<String> fragments) throws IOException {
            for (int at = 0; at < fragments.size(); at += 1) {
                session.getBasicRemote().sendText(fragments.get(at), at == fragments.size() - 1);
            }
        }

        @Override
        public void close(int code, String reason) throws IOException {
            session.close(new CloseReason(CloseReason.CloseCodes.getCloseCode(code), reason));
        }

        @Override
        public void ping(String payload) throws IOException {
            session.getBasicRemote().sendPing(ByteBuffer.wrap(payload.getBytes(StandardCharsets.UTF_8)));
        }

        @Override
        @SuppressWarnings("unchecked")
        public String request() {
            var headers = (Map<String, List<String>>) session.getUserProperties().get("headers");
            String extensions =
                    session.getNegotiatedExtensions().stream().map(one -> one.getName()).collect(Collectors.joining(", "));
            return Language.requestJson(session.getRequestURI().toString(), headers, extensions);
        }
    }
}
