-- Percentiles of the mask ratio per epoch and class, from every part of every run's mask log.
--     duckdb -c ".read examples/analysis/ratio_percentiles.sql"
SELECT
    epoch,
    label,
    count(*)                                       AS samples,
    round(quantile_cont(mask_ratio, 0.05), 3)      AS ratio_p05,
    round(quantile_cont(mask_ratio, 0.50), 3)      AS ratio_p50,
    round(quantile_cont(mask_ratio, 0.95), 3)      AS ratio_p95,
    round(avg((n_tokens - n_keep) / n_tokens), 3)  AS masked_share,
    round(avg(loss), 4)                            AS loss
FROM read_parquet('runs/*/masks/**/*.parquet', hive_partitioning = false, union_by_name = true)
WHERE loss_weight > 0
GROUP BY epoch, label
ORDER BY epoch, label;
