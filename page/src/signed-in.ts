/** The window that the issuer leads back: it tells the page what was answered, and is done. */

const channel = new BroadcastChannel("loyalty-signed-in"); // which oidc.ts listens to
channel.postMessage(location.search);
// The code is of no more use, and need not stand in the history.
history.replaceState(null, "", location.pathname);
setTimeout(close);
