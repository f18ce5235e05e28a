/// The page at `/demo`: how a site embeds the pixel.
enum DemoPage {
    static let html = """
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Cordon: the pixel on a page</title>
        <style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
        pre { background: #f3f3f3; padding: 1rem; overflow: auto }</style>
        <h1>The pixel on a page</h1>
        <p>This page asks for a 1×1 image. The collector reads where you are from your address, decides by policy
        which region the hit belongs to and what of it may be kept, and answers when it is on disk there.</p>
        <button data-consent="granted">I agree</button> <button data-consent="denied">I do not agree</button>
        <p id="said">No choice yet.</p>
        <pre>&lt;script async src="/cordon.js" data-site="example.org"&gt;&lt;/script&gt;
        &lt;noscript&gt;&lt;img src="/pixel.gif?site=example.org" alt=""&gt;&lt;/noscript&gt;</pre>
        <script async src="/cordon.js"></script>
        <noscript><img src="/pixel.gif" alt="" width="1" height="1"></noscript>
        <script>
        for (const button of document.querySelectorAll("button")) button.onclick = () => {
          cordon("consent", { consent: button.dataset.consent });
          document.getElementById("said").textContent = "Sent: " + button.dataset.consent + ".";
        };
        </script>
        </html>

        """
}
