import java.net.URI;
import javax.net.ssl.HttpsURLConnection;

/** Exits 0 if Java's default trust store accepts the server of the URL. */
public class Probe {
    public static void main(String[] args) throws Exception {
        HttpsURLConnection c = (HttpsURLConnection) URI.create(args[0]).toURL().openConnection();
        c.setConnectTimeout(60_000);
        c.setReadTimeout(60_000);
        c.getResponseCode();
    }
}
