import java.net.URL;
import javax.net.ssl.HttpsURLConnection;

/** Asks the server of a URL and says what Java's default trust makes of it. */
public class CerttrustProbe {
    public static void main(String[] args) {
        try {
            HttpsURLConnection c = (HttpsURLConnection) new URL(args[0]).openConnection();
            c.setInstanceFollowRedirects(false);
            c.setConnectTimeout(Integer.parseInt(args[1]) * 1000);
            c.setReadTimeout(Integer.parseInt(args[1]) * 1000);
            c.getResponseCode();
            System.out.println("accepted");
        } catch (Exception e) {
            System.out.println(e.toString());
            System.exit(1);
        }
    }
}
