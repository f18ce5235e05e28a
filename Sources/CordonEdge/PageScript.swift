/// What a page loads from `/cordon.js`: sends events to `/hit` with the page, its referrer and what the page's consent
/// manager says. `Docs/tagging.md` is written for who places it.
///
/// - It sets no cookie and no storage, and makes no identifier that outlives an event: the `event_id` is for the collector to know one
///   event that comes twice, and is new each time.
/// - It waits until the page is shown (not prerendered, not in a hidden tab) and until the consent managers have spoken, or
///   ``waitMillisecondsDefault``. A manager that has not spoken by then is sent as `?`, which is an
///   unreadable signal, not a missing one. When the page is left while it waits, it sends what it has.
/// - A browser's Global Privacy Control makes every event one without consent, whatever the page says.
/// - Ways to send, each when the one before is not there or failed: `sendBeacon`, `fetch` with `keepalive`, an image.
enum PageScript {
    /// Largest size in bytes, as served.
    static let bytesMax = 1535
    /// How long browsers and proxies keep it, in seconds.
    static let secondsMax = 86_400
    /// How long it waits for consent managers.
    static let waitMillisecondsDefault = 1000

    // Its parts: `send` sends one event; `take` and `seen` hear the consent managers; `flush` sends what has gathered and lets
    // later events leave at once; `show` begins when the page is shown.
    static let text = """
        ((w,d,n)=>{let s=d.currentScript,a=s.dataset,b=new URL(".",s.src).href,c={},l=0,q=(w.cordon||{}).q||[],A="addEventListener",on,t,g,\
        send=(e,p)=>{let f=new URLSearchParams,o=Object.assign({site:a.site||location.hostname,event:e,\
        url:location.href.split("#")[0],ref:d.referrer,\
        event_id:Array.from(crypto.getRandomValues(new Uint32Array(4)),x=>x.toString(36)).join("-"),consent:a.consent},c,p,\
        n.globalPrivacyControl&&{consent:"denied"}),k,i=()=>{new Image().src=b+"pixel.gif?"+f};\
        for(k in o)o[k]!=null&&f.set(k,o[k]);\
        try{n.sendBeacon&&n.sendBeacon(b+"hit",f)||\
        fetch(b+"hit",{method:"POST",body:f,keepalive:true,mode:"no-cors",credentials:"include"}).catch(i)}catch(x){i()}},\
        flush=()=>{let r=q;q=0;r&&r.forEach(x=>send(x[0],x[1]))},\
        take=(r,ok)=>{if(ok&&r&&r.eventStatus!="cmpuishown"){c.gdpr=r.gdprApplies==null?null:+r.gdprApplies;\
        c.gdpr_consent=r.tcString||(c.gdpr==0?null:"?");t&&--l<1&&flush();t=0}},\
        seen=p=>{p=p&&p.pingData||p;if(p&&p.gppString&&p.signalStatus!="not ready"){c.gpp=p.gppString;\
        c.gpp_sid=(p.applicableSections||[]).join();g&&--l<1&&flush();g=0}},\
        show=()=>{if(on)return d.hidden&&flush();if(d.prerendering||d.hidden)return;on=1;\
        let x=t=w.__tcfapi,y=g=w.__gpp;l=!!t+!!g;\
        if(x){c.gdpr_consent="?";x(A,2,take);x("getTCData",2,take)}\
        if(y){c.gpp="?";y(A,seen);y("ping",seen)}\
        l?setTimeout(flush,(x=parseInt(a.wait))>=0?x:1e3):flush()};\
        w.cordon=(e,p)=>{q?q.push([e,p]):send(e,p)};\
        a.event!="none"&&q.push([a.event||"view"]);\
        d[A]("visibilitychange",show);d[A]("prerenderingchange",show);show()})(window,document,navigator)

        """
}
