import java.net.URI;
import javax.net.ssl.HttpsURLConnection;

/**
 * Asks the servers of the URLs and prints for each whether Java's default trust
 * store accepts it; exits 0 if that is so for all.
 */
public class Probe {
    public static void main(String[] urls) {
        int code = 0;
        for (String url : urls) {
            try {
                HttpsURLConnection c = (HttpsURLConnection) URI.create(url).toURL().openConnection();
                c.setConnectTimeout(60_000);
                c.setReadTimeout(60_000);
                c.getResponseCode();
                System.out.println("accepted " + url);
            } catch (Exception e) {
                System.out.println("refused " + url + " " + e.toString().replace('\n', ' '));
                code = 1;
            }
        }
        System.exit(code);
    }
}
