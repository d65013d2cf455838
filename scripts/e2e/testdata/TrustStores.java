import java.io.File;
import java.net.URI;
import java.security.KeyStore;
import java.util.Collections;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Asks a server once for each keystore, which Java is given in the way that
 * people give it, by its properties. The arguments are the server's URL and,
 * for each keystore, the file, its type ("" = unsaid) and its password ("" =
 * unsaid). Prints for each the file, whether the server is accepted, and how
 * many entries Java sees.
 */
public class TrustStores {
    public static void main(String[] args) throws Exception {
        for (int i = 1; i + 2 < args.length; i += 3) {
            set("javax.net.ssl.trustStore", args[i]);
            set("javax.net.ssl.trustStoreType", args[i + 1]);
            set("javax.net.ssl.trustStorePassword", args[i + 2]);
            String verdict;
            try {
                TrustManagerFactory f = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
                f.init((KeyStore) null);
                SSLContext context = SSLContext.getInstance("TLS");
                context.init(null, f.getTrustManagers(), null);
                HttpsURLConnection c = (HttpsURLConnection) URI.create(args[0]).toURL().openConnection();
                c.setSSLSocketFactory(context.getSocketFactory());
                c.setConnectTimeout(60_000);
                c.setReadTimeout(60_000);
                c.getResponseCode();
                verdict = "accepted";
            } catch (Exception e) {
                verdict = "refused " + e.toString().replace('\n', ' ');
            }
            String type = args[i + 1];
            char[] password = args[i + 2].isEmpty() ? null : args[i + 2].toCharArray();
            KeyStore store;
            if (type.isEmpty()) {
                store = KeyStore.getInstance(new File(args[i]), password);
            } else {
                store = KeyStore.getInstance(type);
                try (java.io.FileInputStream in = new java.io.FileInputStream(args[i])) {
                    store.load(in, password);
                }
            }
            int keys = 0;
            for (String alias : Collections.list(store.aliases())) {
                keys += store.isKeyEntry(alias) ? 1 : 0;
            }
            System.out.println(args[i] + " " + (store.size() - keys) + " certificates " + keys + " keys " + verdict);
        }
    }

    private static void set(String key, String value) {
        if (value.isEmpty()) {
            System.clearProperty(key);
        } else {
            System.setProperty(key, value);
        }
    }
}
