using System.Text.Json;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;
using Parquet;
using Parquet.Schema;

namespace Fairlead.Auditing.Exports;

/// <summary>
/// Apache Parquet. Records are collected into row groups, because the format stores columns: a group is written when it has enough records
/// or bytes, so the memory is that of one group.
/// </summary>
internal sealed class ParquetRecordWriter : IRecordWriter
{
    /// <summary>Maximum records of a row group.</summary>
    public const int GroupRecords = 4096;

    /// <summary>Maximum characters of texts of a row group: about twice as many bytes in memory.</summary>
    private const int GroupCharacters = 16 * 1024 * 1024;

    private readonly ParquetWriter _writer;
    private readonly DataField[] _fields;
    private readonly Array[] _values;
    private int _count;
    private long _characters;

    private ParquetRecordWriter(ParquetWriter writer, DataField[] fields)
    {
        _writer = writer;
        _fields = fields;
        _values = [.. RecordColumn.All.Select(Array (RecordColumn column) => column.Kind switch
        {
            ColumnKind.Integer => new long?[GroupRecords],
            ColumnKind.Money => new decimal?[GroupRecords],
            ColumnKind.Number => new double?[GroupRecords],
            ColumnKind.Time => new DateTime?[GroupRecords],
            _ => new string?[GroupRecords],
        })];
    }

    public static async Task<ParquetRecordWriter> CreateAsync(Stream output, CancellationToken cancellationToken)
    {
        DataField[] fields = [.. RecordColumn.All.Select(DataField (RecordColumn column) => column.Kind switch
        {
            ColumnKind.Integer => new DataField(column.Name, typeof(long), isNullable: true),
            ColumnKind.Money => new DecimalDataField(column.Name, 28, 12, isNullable: true),
            ColumnKind.Number => new DataField(column.Name, typeof(double), isNullable: true),
            ColumnKind.Time => new DateTimeDataField(column.Name, DateTimeFormat.DateAndTimeMicros, isAdjustedToUTC: true, isNullable: true),
            _ => new DataField(column.Name, typeof(string), isNullable: true),
        })];
        var writer = await ParquetWriter.CreateAsync(
            new ParquetSchema(fields), new CountingStream(output), cancellationToken: cancellationToken);
        return new ParquetRecordWriter(writer, fields);
    }

    public async Task WriteAsync(StoredRecord record, CancellationToken cancellationToken)
    {
        using (var document = JsonDocument.Parse(record.Json, RecordJson.Reading))
        {
            for (var i = 0; i < _values.Length; i++) Set(i, RecordColumn.All[i], document.RootElement, record);
        }
        if (++_count == GroupRecords || _characters > GroupCharacters) await WriteGroupAsync(cancellationToken);
    }

    public async Task FinishAsync(CancellationToken cancellationToken)
    {
        if (_count > 0) await WriteGroupAsync(cancellationToken);
        await _writer.DisposeAsync();
    }

    // The end of the file is written by the writer's own end. A file that is not whole must not get one.
    public ValueTask DisposeAsync() => default;

    private void Set(int column, RecordColumn source, JsonElement root, StoredRecord record)
    {
        switch (_values[column])
        {
            case string?[] texts:
                texts[_count] = source.TextOf(root, record);
                _characters += texts[_count]?.Length ?? 0;
                break;
            case long?[] integers: integers[_count] = source.IntegerOf(root, record); break;
            case decimal?[] amounts: amounts[_count] = source.MoneyOf(root) is { } usd ? Math.Round(usd, 12) : null; break;
            case double?[] numbers: numbers[_count] = source.NumberOf(root); break;
            case DateTime?[] times: times[_count] = source.TimeOf(root); break;
        }
    }

    private async Task WriteGroupAsync(CancellationToken cancellationToken)
    {
        using (var group = _writer.CreateRowGroup())
        {
            for (var i = 0; i < _fields.Length; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                switch (_values[i])
                {
                    case string?[] texts: await group.WriteAsync(_fields[i], new ArraySegment<string>(texts!, 0, _count)); break;
                    case long?[] integers:
                        await group.WriteAsync<long>(_fields[i], integers.AsMemory(0, _count), cancellationToken: cancellationToken);
                        break;
                    case decimal?[] amounts:
                        await group.WriteAsync<decimal>(_fields[i], amounts.AsMemory(0, _count), cancellationToken: cancellationToken);
                        break;
                    case double?[] numbers:
                        await group.WriteAsync<double>(_fields[i], numbers.AsMemory(0, _count), cancellationToken: cancellationToken);
                        break;
                    case DateTime?[] times:
                        await group.WriteAsync<DateTime>(_fields[i], times.AsMemory(0, _count), cancellationToken: cancellationToken);
                        break;
                }
            }
            group.CompleteValidate();
        }
        (_count, _characters) = (0, 0);
    }

    /// <summary>The library asks for the position, which a response does not know.</summary>
    private sealed class CountingStream(Stream output) : Stream
    {
        private long _position;

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => _position;

        public override long Position
        {
            get => _position;
            set => throw new NotSupportedException();
        }

        public override void Flush()
        {
        }

        public override Task FlushAsync(CancellationToken cancellationToken) => output.FlushAsync(cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await output.WriteAsync(buffer, cancellationToken);
            _position += buffer.Length;
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }
}
