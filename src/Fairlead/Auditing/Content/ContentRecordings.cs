using Fairlead.Access;
using Fairlead.Configuration;

namespace Fairlead.Auditing.Content;

/// <inheritdoc cref="IContentRecordings"/>
internal sealed class ContentRecordings(IConfigurationSource configuration) : IContentRecordings
{
    private volatile Made? _made;

    public object Version => configuration.Current.Audit;

    public TimeSpan? Retention
    {
        get
        {
            var audit = configuration.Current.Audit;
            // Content goes with its record at the latest.
            return audit.ContentRetention is { } own && !(own > audit.Retention) ? own : audit.Retention;
        }
    }

    public ContentRecording? Of(AuditContent? level)
    {
        var audit = configuration.Current.Audit;
        var made = _made;
        if (made is null || !ReferenceEquals(made.Audit, audit)) _made = made = new Made(audit);
        return made.Of(level is { } stricter && stricter < audit.Content ? stricter : audit.Content);
    }

    // Callers of one level share an object.
    private sealed class Made(AuditConfig audit)
    {
        private readonly ContentRecording _hash = new(AuditContent.Hash, audit.MaxContentBytes);
        private readonly ContentRecording _redacted = new(AuditContent.Redacted, audit.MaxContentBytes);
        private readonly ContentRecording _full = new(AuditContent.Full, audit.MaxContentBytes);

        public AuditConfig Audit => audit;

        public ContentRecording? Of(AuditContent level) => level switch
        {
            AuditContent.None => null,
            AuditContent.Hash => _hash,
            AuditContent.Redacted => _redacted,
            _ => _full,
        };
    }
}
