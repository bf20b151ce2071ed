using Fairlead.Auditing.Ledger;

namespace Fairlead.Auditing.Exports;

/// <summary>Writes audit records in one format, with bounded memory. For one caller at a time.</summary>
internal interface IRecordWriter : IAsyncDisposable
{
    Task WriteAsync(StoredRecord record, CancellationToken cancellationToken);

    /// <summary>Writes what must follow the last record. Without it the output is not whole.</summary>
    Task FinishAsync(CancellationToken cancellationToken);
}
